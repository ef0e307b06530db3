#!/usr/bin/env python3
"""Prints what happens to load balancers, one line per change, until it is interrupted. Needs nothing but Python:

    OS_TOKEN=$(openstack token issue -f value -c id) \\
    docs/examples/follow-events.py http://127.0.0.1:9876 'resource=loadbalancer'

It comes again when the connection ends, and goes on after the last event that it has seen.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from http.client import HTTPException

url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:9876"
query = sys.argv[2] if len(sys.argv) > 2 else ""


def blocks(lines):
    """The fields of each block; a block ends with an empty line."""
    fields = {}
    for line in lines:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            fields[name] = value
        else:
            yield fields
            fields = {}


def show(event):
    before = event["old"]["provisioning_status"] if event["old"] else "created"
    after = event["new"]["provisioning_status"] if event["new"] else "removed"
    print(f"{event['time']} {event['resource']} {event['id']}: {before} -> {after}", flush=True)


last_id = None
while True:
    headers = {"X-Auth-Token": os.environ["OS_TOKEN"]} if "OS_TOKEN" in os.environ else {}
    if last_id is not None:
        headers["Last-Event-ID"] = last_id
    request = urllib.request.Request(f"{url}/v2/events?{query}", headers=headers)
    try:
        # A sound stream says something every 15 seconds.
        with urllib.request.urlopen(request, timeout=60) as stream:
            for fields in blocks(stream):
                if fields.get("event") == "ready":
                    print("ready", flush=True)
                if fields.get("event") == "status":
                    show(json.loads(fields["data"]))
                # Only now, and also of blocks that are no event: what we have not worked on comes again.
                last_id = fields.get("id", last_id)
    except urllib.error.HTTPError as error:
        if error.code == 410:
            # We were away for longer than events are kept: whoever keeps a copy of the objects reads them again now.
            last_id = None
            continue
        if error.code < 500:
            sys.exit(f"{error.code}: {error.read().decode()}")
    except (OSError, HTTPException):
        pass  # broken off
    time.sleep(2)
