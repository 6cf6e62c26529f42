// @ts-check

// A worker that counts what is sent or received by payload type: statistics name Opus also where RED is
// around it.

/** @type {Record<string, number>} */
const counts = {};

/** @type {any} TypeScript has the types of pages and those of workers, but not of both at once. */
const worker = self;

worker.onrtctransform = /** @param {any} event */ ({ transformer }) => {
  const counter = new TransformStream({
    transform(frame, controller) {
      const { payloadType } = frame.getMetadata();
      counts[payloadType] = (counts[payloadType] ?? 0) + 1;
      controller.enqueue(frame);
    },
  });
  transformer.readable.pipeThrough(counter).pipeTo(transformer.writable);
};

worker.onmessage = () => worker.postMessage(counts);
