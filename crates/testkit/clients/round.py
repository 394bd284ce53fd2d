"""Visits `discovery up` with MCP clients of other makers: each lists the tools and calls ping.

Every client comes in every mode it knows, over Streamable HTTP and over stdio. Prints one line
for each visit and ends with exit code 1 if one of them failed.
"""

import argparse
import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
TOOLS = sorted([
    *["arp", "ifconfig", "netstat", "nslookup", "ping", "route", "telnet", "wget", "whois"],
    *["nmap_ping_scan", "nmap_tcp_connect_scan", "nmap_tcp_syn_scan", "nmap_udp_scan"],
    *["nmap_version_scan"],
    *["snmp_close_session", "snmp_create_session", "snmp_device_inventory", "snmp_discover"],
    *["snmp_get", "snmp_get_next", "snmp_interface_discovery", "snmp_network_topology"],
    *["snmp_service_discovery", "snmp_system_health", "snmp_table", "snmp_walk"],
])
ARGUMENTS = {"host": "127.0.0.1", "count": 1}
# One visit, the start of its interpreter and of a server on stdio included.
VISIT_SECONDS = 60
START_SECONDS = 30


class Failed(Exception):
    """A visit that did not go as it should."""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--discovery", required=True, help="the program `discovery`")
    parser.add_argument("--node", required=True, help="folder with node_modules")
    parser.add_argument("--fastmcp", required=True, help="interpreter that has fastmcp")
    parser.add_argument("only", nargs="?", default="", help="only visits whose name contains this")
    return parser.parse_args()


def run(command, home):
    """What a command prints on standard output."""
    environment = {**os.environ, "HOME": home, "NO_COLOR": "1", "RUST_LOG": "warn"}
    try:
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=False,
                              capture_output=True, text=True, timeout=VISIT_SECONDS)
    except subprocess.TimeoutExpired as late:
        raise Failed(f"no end after {VISIT_SECONDS} s: {late.stderr or ''}") from late
    if done.returncode != 0:
        raise Failed(f"exit code {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def parse(text):
    try:
        return json.loads(text)
    except ValueError as bad:
        raise Failed(f"no JSON: {text[:2000]}") from bad


def check(tools, is_error, text, version=None, expected=None):
    if sorted(tools) != TOOLS:
        raise Failed(f"tools are {tools}")
    if is_error or "127.0.0.1 answers" not in text:
        raise Failed(f"ping says {text!r}")
    if expected and version and version != expected:
        raise Failed(f"revision is {version}, not {expected}")


def texts(content):
    return "\n".join(part["text"] for part in content if part["type"] == "text")


def python_sdk(mode):
    def visit(target, home, _options):
        where = ["--url", target] if isinstance(target, str) else ["--", *target]
        report = parse(run([sys.executable, HERE / "mcp_client.py", "--mode", mode, "--call", "ping",
                            "--arguments", json.dumps(ARGUMENTS), *where], home))
        if "error" in report:
            raise Failed(str(report["error"]))
        result = report["result"]
        check(report["tools"], result["isError"], result["text"], report["version"], REVISION[mode])
    return visit


def node(options, *rest):
    modules = pathlib.Path(options.node) / "node_modules"
    return [modules / "node/bin/node", *rest]


def typescript(client, mode):
    def visit(target, home, options):
        # Node looks for packages from the program's own place upwards.
        program = pathlib.Path(options.node) / "visit.mjs"
        program.write_text((HERE / "node/visit.mjs").read_text())
        where = [target] if isinstance(target, str) else ["--", *target]
        report = parse(run(node(options, program, client, mode, "ping", json.dumps(ARGUMENTS),
                                *where), home))
        result = report["result"]
        check(report["tools"], result["isError"], result["text"], report["version"], REVISION[mode])
    return visit


def inspector(era):
    def visit(target, home, options):
        program = pathlib.Path(options.node) / "node_modules/.bin/mcp-inspector"
        common = ["--protocol-era", era, "--format", "json", "-q"]
        if isinstance(target, str):
            start, end = ["--server-url", target, "--transport", "http"], []
        else:
            start, end = [], target
        call = [f"{key}={value}" for key, value in ARGUMENTS.items()]
        # An option with many values ends at the next option, so the command comes last.
        cli = node(options, program, "--cli", *start)
        listed = parse(run([*cli, "--method", "tools/list", *common, *end], home))["result"]
        called = parse(run([*cli, "--method", "tools/call", "--tool-name", "ping", "--tool-arg",
                            *call, *common, *end], home))["result"]
        check([tool["name"] for tool in listed["tools"]], called.get("isError", False),
              texts(called["content"]))
    return visit


def fastmcp(target, home, options):
    program = [pathlib.Path(options.fastmcp).with_name("fastmcp")]
    where = [target] if isinstance(target, str) else ["--command", " ".join(map(str, target))]
    listed = parse(run([*program, "list", *where, "--json"], home))
    called = parse(run([*program, "call", *where, "--target", "ping", "--input-json",
                        json.dumps(ARGUMENTS), "--json"], home))
    check([tool["name"] for tool in listed["tools"]], called["is_error"], texts(called["content"]))


# What a mode has to agree on; `auto` finds the newest.
REVISION = {"legacy": "2025-11-25", "auto": "2026-07-28", "2026-07-28": "2026-07-28"}
MODES = list(REVISION)
VISITS = {
    **{f"Python mcp, {mode}": python_sdk(mode) for mode in MODES},
    **{f"TypeScript client, {mode}": typescript("client", mode) for mode in MODES},
    "TypeScript sdk, legacy": typescript("sdk", "legacy"),
    "fastmcp": fastmcp,
    **{f"inspector, {era}": inspector(era) for era in ["legacy", "modern"]},
}


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@contextlib.contextmanager
def served(discovery, home):
    """The endpoint of a `discovery up` of our own."""
    port = free_port()
    environment = {**os.environ, "HOME": home, "TRANSPORT_MODE": "http", "HTTP_PORT": str(port),
                   "RUST_LOG": "warn"}
    with subprocess.Popen([discovery, "up"], env=environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL) as server:
        try:
            until = time.monotonic() + START_SECONDS
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    if server.poll() is not None or time.monotonic() > until:
                        sys.exit(f"{discovery} up does not listen on port {port}")
                    time.sleep(0.05)
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            server.terminate()
            try:
                server.wait(timeout=30)
            except subprocess.TimeoutExpired:
                server.kill()


def main():
    options = arguments()
    discovery = pathlib.Path(options.discovery).resolve()
    stdio = ["env", "TRANSPORT_MODE=stdio", "RUST_LOG=warn", str(discovery), "up"]
    n_failed, n_visits = 0, 0
    with tempfile.TemporaryDirectory() as home, served(discovery, home) as url:
        for name, visit in VISITS.items():
            for transport, target in [("HTTP", url), ("stdio", stdio)]:
                title = f"{name}, {transport}"
                if options.only.lower() not in title.lower():
                    continue
                n_visits += 1
                try:
                    visit(target, home, options)
                    print(f"ok      {title}", flush=True)
                except Failed as why:
                    n_failed += 1
                    print(f"FAILED  {title}: {why}", flush=True)
    print(f"clients: {n_visits - n_failed} passed, {n_failed} failed")
    sys.exit(1 if n_failed or not n_visits else 0)


if __name__ == "__main__":
    main()
