/**
 * The app's pages in every state: light, dark, and 320 pixels wide, without an accessibility fault. Screenshots are kept
 * in `target/browser/www`.
 */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { ADDRESS, ID, screenshots, startApp, UNLOCKED } from './www-app.mjs';

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
  { name: 'wallet-absent', path: '#/wallet', plan: { wallet: 'absent' }, text: 'There is no wallet here' },
  { name: 'wallet-none', path: '#/wallet', text: 'Create a wallet' },
  { name: 'wallet-locked', path: '#/wallet', plan: { wallet: 'locked' }, text: 'The wallet is locked' },
  { name: 'wallet', path: '#/wallet', plan: UNLOCKED, text: 'verified, complete' },
  { name: 'wallet-send', path: '#/wallet/send', plan: UNLOCKED, text: 'Can be spent' },
  { name: 'wallet-receive', path: '#/wallet/receive', plan: UNLOCKED, text: 'Copy address' },
  { name: 'wallet-history', path: '#/wallet/history', plan: UNLOCKED, text: 'Every payment from block' },
  { name: 'wallet-contacts', path: '#/wallet/contacts', plan: UNLOCKED, text: 'New contact' },
  { name: 'wallet-backup', path: '#/wallet/settings', plan: UNLOCKED, text: 'Remove the wallet' },
  { name: 'no-page', path: '#/nowhere', text: 'There is no such page' },
];

const LOOKS = [
  { look: 'light', colorScheme: 'light', width: 1200 },
  { look: 'dark', colorScheme: 'dark', width: 1200 },
  { look: 'narrow', colorScheme: 'light', width: 320 },
];

for (const { name, path, text, plan } of PAGES) {
  test(`${name}: light, dark and narrow`, async () => {
    const { page, close } = await app.open(path, plan);
    await page.getByText(text).first().waitFor();
    for (const { look, colorScheme, width } of LOOKS) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 800 });
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(wider <= 0, `${name}, ${look}: ${wider} pixels wider than the screen`);
      await page.screenshot({ path: join(screenshots, `${name}-${look}.png`), fullPage: true });
      await app.assertAccessible(page, `${name}, ${look}`);
    }
    await close();
  });
}
