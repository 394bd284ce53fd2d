"""Reads nmap's XML from standard input with the standard library, and writes the hosts that are up
as the worker's results have them: what two programs read alike is what nmap wrote.
"""

import json
import sys
import xml.etree.ElementTree as tree


def optional(**values):
    return {name: value for name, value in values.items() if value is not None}


def service(element):
    fields = ["tunnel", "product", "version", "extrainfo", "ostype", "devicetype", "hostname"]
    return {
        "name": element.get("name"),
        "method": element.get("method"),
        "confidence": int(element.get("conf")),
        "cpe": [cpe.text for cpe in element.findall("cpe")],
        **optional(**{field: element.get(field) for field in fields}),
    }


def port(element):
    found = element.find("service")
    return {
        "port": int(element.get("portid")),
        "proto": element.get("protocol"),
        "state": element.find("state").get("state"),
        "reason": element.find("state").get("reason"),
        **optional(service=None if found is None else service(found)),
    }


def others(element):
    reasons = element.findall("extrareasons")
    return {
        "state": element.get("state"),
        "count": int(element.get("count")),
        "reasons": [{"reason": it.get("reason"), "count": int(it.get("count"))} for it in reasons],
    }


def host(element):
    by_kind = {it.get("addrtype"): it for it in element.findall("address")}
    mac, times = by_kind.get("mac"), element.find("times")
    address = by_kind.get("ipv4", by_kind.get("ipv6"))
    ports = [port(it) for it in element.findall("ports/port")]
    return {
        "address": address.get("addr"),
        "state": element.find("status").get("state"),
        "reason": element.find("status").get("reason"),
        "ports": sorted(ports, key=lambda it: (it["proto"], it["port"])),
        "other_ports": [others(it) for it in element.findall("ports/extraports")],
        **optional(
            mac=None if mac is None else mac.get("addr"),
            vendor=None if mac is None else mac.get("vendor"),
            rtt_ms=None if times is None else int(times.get("srtt")) / 1000,
        ),
    }


document = tree.parse(sys.stdin)
up = [host(it) for it in document.iter("host") if it.find("status").get("state") == "up"]
counts = document.find("runstats/hosts")
json.dump(
    {
        "hosts": sorted(up, key=lambda it: it["address"]),
        "counts": {name: int(counts.get(name)) for name in ("up", "down", "total")},
        "arguments": document.getroot().get("args"),
    },
    sys.stdout,
)
