// Reads a Chrome trace with TracerBench's model of one and prints what it made of it, as JSON:
// node chrome_trace.mjs FILE.

import { readFileSync } from "node:fs";
import traces from "@tracerbench/trace-model";

const model = traces.buildModel(JSON.parse(readFileSync(process.argv[2], "utf8")));
console.log(
  JSON.stringify(
    model.processes.map((process) => ({
      name: process.name,
      counters: process.events
        .filter((event) => event.isCounter())
        .map((event) => [event.name, event.start, event.args]),
      flows: process.events
        .filter((event) => event.isFlowBegin() || event.isFlowEnd())
        .map((event) => [event.ph, event.traceEvent.id, event.tid, event.start]),
      threads: process.threads.map((thread) => ({
        id: thread.id,
        name: thread.name,
        events: thread.events
          .filter((event) => event.isComplete())
          .map((event) => [event.name, event.start, event.duration, event.parent?.name ?? null]),
      })),
    })),
  ),
);
