// Shared by anthropic.mjs and openai.mjs: one line per claim on standard output, and the stand-in's memory.
import assert from "node:assert/strict";

export { assert };
export const env = process.env;
export const weather = JSON.parse(env.WEATHER);

export async function claim(name, work) {
  try {
    await work();
    console.log(`ok ${name}`);
  } catch (e) {
    console.log(`not ok ${name} ${String(e.stack ?? e).replaceAll("\n", "\\n")}`);
  }
}

// The JSON body of the last model request a stand-in was sent.
export async function lastRequest(url) {
  return (await fetch(`${url}/_standin/last`)).json();
}
