// The page of every project here: checks one receipt, and one with a changed byte; starts a light node, which has no peers.

import { connect, buildInfo as nodeBuildInfo, probe } from 'timecoin';
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

document.body.textContent = JSON.stringify({
  proved,
  refused: refused.code,
  build: await buildInfo(),
  node: { info, address: address.code, build: await nodeBuildInfo(), probe: await probe() },
});
