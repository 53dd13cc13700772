/** Where the page is. Everything behind the `#`: it works from any folder and never reaches a server. */

export interface Route {
  /** Decoded segments: `#/block/12` is `['block', '12']`. */
  path: string[];
  query: URLSearchParams;
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

export function parseRoute(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split(/\?(.*)/s);
  return { path: path.split('/').filter((segment) => segment !== '').map(decode), query: new URLSearchParams(query) };
}

class Router {
  route = $state.raw<Route>(parseRoute(location.hash));

  constructor() {
    addEventListener('hashchange', () => {
      this.route = parseRoute(location.hash);
    });
  }

  /** Goes to an app path, such as `/block/12`. */
  go(path: string, replace = false): void {
    if (replace) history.replaceState(null, '', `#${path}`);
    else history.pushState(null, '', `#${path}`);
    this.route = parseRoute(location.hash);
  }
}

export const router = new Router();

/** The app's own address: the folder that it is served from. */
export const base = new URL('.', location.href.replace(/[?#].*$/, ''));
