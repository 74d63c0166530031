"""Subscribes to events with onvif-zeep, a client that nobody here wrote.

    events.py READY_FILE OUT_DIR

For every camera of the ready file and its first client: makes a pull point, pulls until an event came, renews it, asks for
a synchronization point, ends it, and pulls once more. OUT_DIR/results.jsonl holds one line a step; OUT_DIR/received every
byte any answer held.
"""

import datetime
import json
import re
import sys
from pathlib import Path

import requests
from onvif import ONVIFCamera

EVENTS = "{http://www.onvif.org/ver10/events/wsdl}"
TRIES = 12
# The text of the last answer.
last = []


def record(path):
    """Keeps every byte received."""
    file = path.open("wb")
    send = requests.adapters.HTTPAdapter.send

    def recorded(adapter, request, **options):
        response = send(adapter, request, **options)
        last.clear()
        last.append(response.text)
        file.write(response.content + b"\n")
        file.flush()
        return response

    requests.adapters.HTTPAdapter.send = recorded


def topics(answer):
    """What zeep took for messages, by topic. Of an element with mixed content, as a topic is, it keeps no text."""
    found = re.findall(r":Topic [^>]*>([^<]*)<", last[0])
    messages = answer.NotificationMessage or []
    assert len(found) == len(messages), f"{len(messages)} messages with {len(found)} topics"
    assert all(message.Message._value_1 is not None for message in messages), "a message without content"
    return [topic.strip() for topic in found]


def walk(camera, client, report):
    host, port = re.match(r"http://([^:/]+):(\d+)/", camera["xaddr"]).groups()
    # It makes a pull point of its own when it connects, which it never ends.
    device = ONVIFCamera(host, int(port), client["name"], client["password"])
    events = device.create_events_service()
    made = events.CreatePullPointSubscription({"InitialTerminationTime": "PT60S"})
    address = made.SubscriptionReference.Address._value_1
    report("CreatePullPointSubscription", lasts=(made.TerminationTime - made.CurrentTime).total_seconds())
    device.xaddrs["http://www.onvif.org/ver10/events/wsdl/PullPointSubscription"] = address
    pullpoint = device.create_pullpoint_service()
    manager = pullpoint.zeep_client.create_service(EVENTS + "SubscriptionManagerBinding", address)
    wait = {"Timeout": datetime.timedelta(seconds=5), "MessageLimit": 100}
    found = []
    for _ in range(TRIES):
        found = topics(pullpoint.PullMessages(wait))
        if found:
            break
    report("PullMessages", topics=found)
    renewed = manager.Renew(TerminationTime="PT120S")
    report("Renew", lasts=(renewed.TerminationTime - renewed.CurrentTime).total_seconds())
    pullpoint.SetSynchronizationPoint()
    report("SetSynchronizationPoint", topics=topics(pullpoint.PullMessages(wait)))
    manager.Unsubscribe()
    report("Unsubscribe")
    try:
        pullpoint.PullMessages(wait)
        report("PullMessages afterwards", fault=None)
    except Exception as error:
        report("PullMessages afterwards", fault=str(error))


def main(ready_file, out_dir):
    ready = json.loads(Path(ready_file).read_text())
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    record(out_dir / "received")
    with (out_dir / "results.jsonl").open("w") as out:
        for camera in ready["cameras"]:

            def report(step, **more):
                out.write(json.dumps({"camera": camera["name"], "step": step, **more}) + "\n")

            walk(camera, ready["clients"][0], report)


main(*sys.argv[1:])
