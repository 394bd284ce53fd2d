"""Checks compose.yaml against our own rules: least rights, health, nothing published by accident.

Usage: compose-check.py FILE
"""

import pathlib
import sys

import yaml

# The only services of ours that may hold a capability, and the one each may hold.
CAPABILITIES = {"worker-network": ["NET_RAW"], "worker-nmap": ["NET_RAW"]}


def faults_of_any(name, service):
    if service.get("cap_drop") != ["ALL"]:
        yield "does not drop ALL capabilities"
    if not service.get("healthcheck", {}).get("test"):
        yield "has no health check"
    if service.get("privileged") or service.get("network_mode") or service.get("pid"):
        yield "shares the host's rights or namespaces"
    for port in service.get("ports", []):
        if not str(port).startswith("127.0.0.1:"):
            yield f"publishes {port} beyond the loopback address"
    # A file capability does nothing under no-new-privileges.
    if name not in CAPABILITIES and "no-new-privileges:true" not in service.get("security_opt", []):
        yield "may gain new privileges"
    if name in CAPABILITIES and "no-new-privileges:true" in service.get("security_opt", []):
        yield "loses its file capability to no-new-privileges"


def faults_of_ours(name, service, crates):
    arguments = service["build"].get("args", {})
    package = arguments.get("PACKAGE", "")
    manifest = crates / package / "Cargo.toml"
    if not manifest.is_file():
        yield f"builds package {package!r}, which does not exist"
    elif f'name = "{arguments.get("BIN")}"' not in manifest.read_text():
        yield f"builds binary {arguments.get('BIN')!r}, which {package} does not have"
    if not service.get("read_only"):
        yield "can write to its root file system"
    if service.get("cap_add", []) != CAPABILITIES.get(name, []):
        yield f"adds capabilities {service.get('cap_add')}"
    if ("CAPABILITIES" in arguments) != (name in CAPABILITIES):
        yield "has a file capability that does not fit its container"
    if not name.startswith("worker-") and "targets" in service.get("networks", []):
        yield "reaches the targets"


def faults(compose, crates):
    for name, service in compose["services"].items():
        for fault in faults_of_any(name, service):
            yield f"{name} {fault}"
        if "build" in service:
            for fault in faults_of_ours(name, service, crates):
                yield f"{name} {fault}"
    for name, service in compose["services"].items():
        # Sessions of a second SNMP worker need a key that only the operator can make.
        if name == "worker-snmp":
            continue
        if name.startswith("worker-") and service.get("deploy", {}).get("replicas", 1) < 2:
            yield f"{name} has no second replica"
    if not compose["networks"]["bus"].get("internal"):
        yield "network bus leads out"


def main():
    path = pathlib.Path(sys.argv[1])
    compose = yaml.safe_load(path.read_text())
    found = list(faults(compose, path.resolve().parent / "crates"))
    for fault in found:
        print(f"{path}: {fault}", file=sys.stderr)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
