// The app's pages, used as a person would: by what stands on buttons and fields.

import { until } from "./browsers.mjs";

/** Waits for a text on the page. */
export const see = (page, text) => until(page, (wanted) => document.body.innerText.includes(wanted), text);

/** Presses the button with this text, once it can be pressed. */
export const press = (page, label) =>
  until(
    page,
    (wanted) => {
      const all = [...document.querySelectorAll("main button, dialog button, header button")];
      const found = all.find(({ innerText, disabled }) => innerText.trim() === wanted && !disabled);
      found?.click();
      return found !== undefined;
    },
    label,
  );

/** Fills the field with this label. */
export const fill = (page, label, value) =>
  until(
    page,
    (wanted, text) => {
      const named = [...document.querySelectorAll("main label")].find(({ innerText }) => innerText.trim() === wanted);
      const field = named && document.getElementById(named.htmlFor);
      if (!field) return false;
      const { prototype } = { INPUT: HTMLInputElement, TEXTAREA: HTMLTextAreaElement, SELECT: HTMLSelectElement }[field.tagName];
      Object.getOwnPropertyDescriptor(prototype, "value").set.call(field, text);
      field.dispatchEvent(new Event("input", { bubbles: true }));
      field.dispatchEvent(new Event("change", { bubbles: true }));
      return true;
    },
    label,
    value,
  );

/** Ticks the only box. */
export const tick = (page) =>
  until(page, () => {
    const box = document.querySelector("main input[type=checkbox]");
    if (box && !box.checked) box.click();
    return box?.checked === true;
  });

/** Goes to another place of the app, without loading it anew. */
export const go = (page, hash) => page.evaluate((to) => void (location.hash = to), hash);

/** What breaks the policy, or is thrown and not caught, from now on. */
export const watchFaults = (page) =>
  page.evaluate(() => {
    window.faults = [];
    addEventListener("error", ({ message }) => window.faults.push(message));
    addEventListener("unhandledrejection", ({ reason }) => window.faults.push(String(reason)));
    document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => window.faults.push(`${violatedDirective} ${blockedURI}`));
  });

export const faults = (page) => page.evaluate(() => window.faults);

/** The balance on the wallet's page. */
export const balance = (page) => page.evaluate(() => document.querySelector("[aria-label=Balance] .balance")?.innerText.trim() ?? null);
