"""A small MCP server made with the Python SDK, to try clients on.

Its tool `double` doubles a number and reports its progress; `fail` always fails.
Usage: reference_server.py stdio | http PORT
"""

import sys

from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("reference")


@server.tool()
async def double(number: int, context: Context) -> dict[str, int]:
    """Doubles a number."""
    await context.report_progress(1, 1)
    return {"doubled": 2 * number}


@server.tool()
def fail() -> str:
    """Always fails."""
    raise ValueError("it failed")


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        server.run("stdio")
    else:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[2]))
