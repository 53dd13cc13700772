// What webpack's own command does with `--entry ./main.js --mode production`: no configuration.

import webpack from 'webpack';

webpack({ context: import.meta.dirname, entry: './main.js', mode: 'production' }, (failure, stats) => {
  if (failure !== null || stats.hasErrors()) {
    console.error(failure ?? stats.toString());
    process.exitCode = 1;
  }
});
