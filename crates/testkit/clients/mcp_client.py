"""One visit to an MCP server with the Python SDK: connect, list the tools, call one.

Prints one JSON line:
{"mode", "version", "server", "tools": [names], "result": {"isError", "structuredContent", "text"},
 "progress": [numbers]}
or, when the server answers with a protocol error, {"error": {"code", "message"}} in place of
what comes after it. Anything else that goes wrong is a traceback and exit code 1.
"""

import argparse
import asyncio
import json

from mcp import Client, MCPError, StdioServerParameters


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", required=True, help="legacy, auto or a version such as 2026-07-28")
    parser.add_argument("--url", help="the endpoint of a Streamable HTTP server")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE",
                        help="an environment variable of the command")
    parser.add_argument("--call", metavar="TOOL", help="the tool to call")
    parser.add_argument("--arguments", type=json.loads, default={}, help="its arguments, a JSON object")
    parser.add_argument("--timeout", type=float, default=30, help="seconds for each request")
    parser.add_argument("command", nargs="*", help="the command of a stdio server, after --")
    options = parser.parse_args()
    if bool(options.url) == bool(options.command):
        parser.error("give either --url or a command")
    return options


def server(options):
    if options.url:
        return options.url
    program, *rest = options.command
    env = dict(pair.split("=", 1) for pair in options.env)
    return StdioServerParameters(command=program, args=rest, env=env)


async def tool_names(client):
    names, cursor = [], None
    while True:
        page = await client.list_tools(cursor=cursor)
        names += [tool.name for tool in page.tools]
        cursor = page.next_cursor
        if not cursor:
            return names


async def visit(options, report):
    seen = []

    async def progress(done, _total, _message):
        seen.append(done)

    async with Client(server(options), mode=options.mode, read_timeout_seconds=options.timeout) as client:
        report["version"] = client.protocol_version
        report["server"] = client.server_info.name if client.server_info else None
        try:
            report["tools"] = await tool_names(client)
            if options.call:
                result = await client.call_tool(options.call, options.arguments, progress_callback=progress)
                text = [part.text for part in result.content if part.type == "text"]
                report["result"] = {
                    "isError": result.is_error,
                    "structuredContent": result.structured_content,
                    "text": "\n".join(text),
                }
                report["progress"] = seen
        except MCPError as error:
            report["error"] = {"code": error.code, "message": error.message}


def main():
    options = arguments()
    report = {"mode": options.mode}
    asyncio.run(visit(options, report))
    print(json.dumps(report))


if __name__ == "__main__":
    main()
