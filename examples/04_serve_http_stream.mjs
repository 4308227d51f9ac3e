// Serves an engine over HTTP with server-sent events; requests that come together are worked on together.
//   node examples/04_serve_http_stream.mjs
//   curl -N 'http://127.0.0.1:8080/generate?prompt=Once%20upon%20a%20time'
import { createServer } from "node:http";
import { Engine } from "espalier";
import { engineFromArguments } from "./engine.mjs";

const engine = await Engine.load(await engineFromArguments(), { contextTokens: 2048, maxSequences: 16 });

const server = createServer(async (request, response) => {
  const url = new URL(request.url, "http://localhost");
  const prompt = url.searchParams.get("prompt") ?? "";
  if (url.pathname !== "/generate" || prompt === "") {
    response.writeHead(404, { "content-type": "text/plain" }).end("GET /generate?prompt=...\n");
    return;
  }
  const gone = new AbortController();
  response.on("close", () => gone.abort()); // a client that leaves frees its place in the batch
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  try {
    const messages = [{ role: "user", content: prompt }];
    const generation = engine.generate({ messages, maxTokens: 256, signal: gone.signal });
    for await (const { text } of generation) response.write(`data: ${JSON.stringify({ text })}\n\n`);
    const { finishReason, ids } = await generation.result();
    response.end(`event: done\ndata: ${JSON.stringify({ finishReason, tokens: ids.length })}\n\n`);
  } catch (error) {
    if (!gone.signal.aborted)
      response.end(`event: error\ndata: ${JSON.stringify({ code: error.code, message: error.message })}\n\n`);
  }
});

server.listen(Number(process.env.PORT ?? 8080), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}/generate?prompt=...`);
});

for (const signal of ["SIGINT", "SIGTERM"])
  process.once(signal, async () => {
    server.close();
    server.closeAllConnections();
    await engine.dispose();
  });
