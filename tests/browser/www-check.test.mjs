// The app's types, templates and plain functions: its own checks, run with the rest.

import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const www = fileURLToPath(new URL('../../www', import.meta.url));

/** A script of package.json; what it wrote is shown where it fails. */
async function script(name) {
  await promisify(execFile)('npm', ['run', '--silent', name], { cwd: www }).catch((error) => {
    throw new Error(`npm run ${name}:\n${error.stdout}${error.stderr}`);
  });
}

test('types and templates are strict', () => script('check'));
test('plain functions do what they say', () => script('test'));
