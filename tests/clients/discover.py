"""Looks for cameras with the library WSDiscovery, as many clients in Python do. Prints what it finds as JSON.

discover.py SECONDS [TYPE-NAMESPACE TYPE-NAME [SCOPE]]
"""
import json
import sys

from wsdiscovery import QName, Scope
from wsdiscovery.discovery import ThreadedWSDiscovery


def main():
    seconds, rest = float(sys.argv[1]), sys.argv[2:]
    types = [QName(rest[0], rest[1])] if rest else None
    scopes = [Scope(rest[2])] if rest[2:] else None
    seeker = ThreadedWSDiscovery()
    seeker.start()
    found = seeker.searchServices(types=types, scopes=scopes, timeout=seconds)
    shown = [
        {
            "endpoint": it.getEPR(),
            "types": [[name.getNamespace(), name.getLocalname()] for name in it.getTypes()],
            "scopes": [scope.getValue() for scope in it.getScopes()],
            "addresses": it.getXAddrs(),
        }
        for it in found
    ]
    seeker.stop()
    json.dump(sorted(shown, key=lambda it: it["addresses"]), sys.stdout)


main()
