/** The time for ages: ticks once a second while the page is seen, and at once when it is seen again. */

class Clock {
  now = $state(Date.now());

  constructor() {
    const tick = (): void => {
      if (!document.hidden) this.now = Date.now();
    };
    setInterval(tick, 1_000);
    document.addEventListener('visibilitychange', tick);
  }
}

export const clock = new Clock();
