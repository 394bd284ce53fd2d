// One visit to an MCP server with a TypeScript SDK: connect, list the tools, call one.
//
// Usage: node visit.mjs CLIENT MODE TOOL ARGUMENTS (URL | -- COMMAND [ARGUMENT...])
//   CLIENT     "client" for @modelcontextprotocol/client, "sdk" for @modelcontextprotocol/sdk
//   MODE       for "client": legacy, auto, or a revision to pin; "sdk" knows legacy alone
//   ARGUMENTS  a JSON object
//
// Prints one JSON line: {"version", "server", "tools": [names], "result": {"isError", "text"}}.

const [kind, mode, tool, json, target, ...command] = process.argv.slice(2);
if (!target || (target === "--" && command.length === 0)) {
  console.error("usage: visit.mjs CLIENT MODE TOOL ARGUMENTS (URL | -- COMMAND [ARGUMENT...])");
  process.exit(64);
}

const info = { name: "open-discovery-visit", version: "1.0.0" };

async function sdk() {
  const { Client } = await import("@modelcontextprotocol/sdk/client/index.js");
  if (target === "--") {
    const { StdioClientTransport } = await import("@modelcontextprotocol/sdk/client/stdio.js");
    return [new Client(info), StdioClientTransport];
  }
  const http = await import("@modelcontextprotocol/sdk/client/streamableHttp.js");
  return [new Client(info), http.StreamableHTTPClientTransport];
}

async function client() {
  const { Client, StreamableHTTPClientTransport } = await import("@modelcontextprotocol/client");
  const negotiation = mode === "legacy" || mode === "auto" ? mode : { pin: mode };
  const made = new Client(info, { versionNegotiation: { mode: negotiation } });
  if (target === "--") {
    const { StdioClientTransport } = await import("@modelcontextprotocol/client/stdio");
    return [made, StdioClientTransport];
  }
  return [made, StreamableHTTPClientTransport];
}

const [visitor, Transport] = await (kind === "sdk" ? sdk() : client());
const transport =
  target === "--"
    ? new Transport({ command: command[0], args: command.slice(1), env: { ...process.env } })
    : new Transport(new URL(target));
await visitor.connect(transport);
const tools = [];
let cursor;
do {
  const page = await visitor.listTools(cursor ? { cursor } : undefined);
  tools.push(...page.tools.map((listed) => listed.name));
  cursor = page.nextCursor;
} while (cursor);
const result = await visitor.callTool({ name: tool, arguments: JSON.parse(json) });
const text = result.content.filter((part) => part.type === "text").map((part) => part.text);
const report = {
  version: visitor.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion ?? null,
  server: visitor.getServerVersion()?.name ?? null,
  tools,
  result: { isError: result.isError ?? false, text: text.join("\n") },
};
await transport.terminateSession?.();
await visitor.close();
console.log(JSON.stringify(report));
