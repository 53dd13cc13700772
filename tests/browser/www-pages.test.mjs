/**
 * The app's pages in every state: light, dark, and 320 pixels wide, without an accessibility fault. Screenshots are kept
 * in `target/browser/www`. The wallet's pages are in `wallet-pages.test.mjs`, over a real wallet.
 */

import { after, before, test } from 'node:test';

import { ADDRESS, ID, startApp } from './www-app.mjs';

let app;
before(async () => {
  app = await startApp();
});
after(() => app?.close());

const PAGES = [
  { name: 'explorer', path: '#/', text: 'Newest final block' },
  { name: 'block', path: '#/block/2203', text: 'Signed by' },
  { name: 'block-unknown', path: '#/block/999999', text: 'This block is not known' },
  { name: 'transaction', path: `#/tx/${ID}`, text: 'for tea' },
  { name: 'address', path: `#/address/${ADDRESS}`, text: 'verified, complete' },
  { name: 'address-damaged', path: '#/address/dtime1qqqq', text: 'This is not an address' },
  { name: 'masternodes', path: '#/masternodes', text: 'active' },
  { name: 'network', path: '#/network', text: 'Peers that were caught lying' },
  { name: 'receipt', path: '#/receipt', text: 'Drop it here' },
  { name: 'receipt-proved', path: '#/receipt?r=TIMERECEIPT1QQ', text: 'Proved: this payment is final' },
  { name: 'receipt-refused', path: '#/receipt?r=TIMERECEIPT1QQ', plan: { fail: 'receipt' }, text: 'This proves nothing' },
  { name: 'no-page', path: '#/nowhere', text: 'There is no such page' },
];

for (const { name, path, text, plan } of PAGES) {
  test(`${name}: light, dark and narrow`, async () => {
    const { page, close } = await app.open(path, plan);
    await page.getByText(text).first().waitFor();
    await app.look(page, name);
    await close();
  });
}
