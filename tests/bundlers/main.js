// The page of every project here: checks one receipt, and one with a changed byte; starts a light node and a validator, which
// have no peers.

import { connect, buildInfo as nodeBuildInfo, probe } from 'timecoin';
import { validate } from 'timecoin/validator';
import { buildInfo, verifyReceipt } from 'timecoin/verifier';

const { receipt, spec, now } = await (await fetch('receipt.json')).json();
const options = { spec: JSON.stringify(spec), now };
const proved = await verifyReceipt(receipt, options);
const changed = receipt.replace(/..$/, (end) => (end === 'QQ' ? 'PP' : 'QQ'));
const refused = await verifyReceipt(changed, options).catch((error) => error);

const node = await connect({ spec: JSON.stringify(spec), peers: [], anyAge: true });
const info = await node.info();
const address = await node.balance('nonsense').catch((error) => error);
await node.close();

const validator = await validate({ spec: JSON.stringify(spec), peers: [], operatorKey: '07'.repeat(32), unused: true });
for await (const { stage } of validator.changes()) if (stage.kind !== 'starting') break;
const { stage, member } = validator.status;
await validator.stop();

document.body.textContent = JSON.stringify({
  proved,
  refused: refused.code,
  build: await buildInfo(),
  validator: { stage: stage.kind, member, stopped: validator.status.stage.kind, build: validator.buildInfo() },
  node: { info, address: address.code, build: await nodeBuildInfo(), probe: await probe() },
});
