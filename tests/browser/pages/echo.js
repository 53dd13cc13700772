// A Worker that sends back what it is sent.
addEventListener("message", ({ data }) => postMessage(data));
