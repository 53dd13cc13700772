// A page that validates, over the npm package as it is published.

// The Workers that the package starts, the newest last, for tests that end them.
window.workers = [];
window.Worker = class extends Worker {
  constructor(...given) {
    super(...given);
    window.workers.push(this);
  }
};

const { validate } = await import("/timecoin/validator.js");

// Begins to validate: the outcome, as a test can compare it.
window.start = (options) =>
  validate(options).then(
    (validator) => {
      window.validator = validator;
      return { operator: validator.operator };
    },
    ({ code, message }) => ({ code, message }),
  );
window.ready = true;
