// The page of every project here: checks one receipt, and one with a changed byte.

import { buildInfo, verifyReceipt } from 'timecoin/verifier';

const { receipt, spec, now } = await (await fetch('receipt.json')).json();
const options = { spec: JSON.stringify(spec), now };
const proved = await verifyReceipt(receipt, options);
const changed = receipt.replace(/..$/, (end) => (end === 'QQ' ? 'PP' : 'QQ'));
const refused = await verifyReceipt(changed, options).catch((error) => error);
document.body.textContent = JSON.stringify({ proved, refused: refused.code, build: await buildInfo() });
