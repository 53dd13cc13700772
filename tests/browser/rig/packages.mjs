// The development packages of `www/`, which the rig shares: one lockfile, one folder of modules.

import { createRequire } from "node:module";

const require = createRequire(new URL("../../../www/package.json", import.meta.url));

export const { chromium } = require("playwright-core");
export const { Builder } = require("selenium-webdriver");
