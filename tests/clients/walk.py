"""Walks a gateway with onvif-zeep, a client that nobody here wrote.

    walk.py READY_FILE OUT_DIR

For every camera and client of the ready file: connects, calls every read operation it can find arguments for,
then the writes of the role. OUT_DIR/results.jsonl holds one line a call; OUT_DIR/received every byte any
answer held.
"""

import json
import re
import sys
from pathlib import Path

import requests
from onvif import ONVIFCamera
from zeep.exceptions import Fault

CONTAINERS = ["devicemgmt", "media", "ptz", "events"]

# Arguments that are chosen, not found: any value the schema allows.
CHOSEN = {
    "Category": "All",
    "IncludeCapability": True,
    "LogType": "System",
    "StreamSetup": {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}},
    "Filter": None,
}


class Recorder:
    """Keeps every byte received."""

    def __init__(self, path):
        self.file = path.open("wb")
        send = requests.adapters.HTTPAdapter.send

        def recorded(adapter, request, **options):
            response = send(adapter, request, **options)
            head = f"{response.status_code}\n" + "".join(f"{k}: {v}\n" for k, v in response.headers.items())
            self.file.write(head.encode() + response.content + b"\n")
            self.file.flush()
            return response

        requests.adapters.HTTPAdapter.send = recorded


def fault_of(error):
    """The fault within whatever onvif-zeep wrapped it in."""
    while error is not None:
        if isinstance(error, Fault):
            return error
        nested = [it for it in getattr(error, "args", ()) if isinstance(it, BaseException)]
        reason = getattr(error, "reason", None)
        error = nested[0] if nested else reason if isinstance(reason, BaseException) else error.__cause__ or error.__context__
    return None


def subcodes(error):
    fault = fault_of(error)
    if fault is None:
        return None
    return [str(code.localname if hasattr(code, "localname") else code).split(":")[-1] for code in fault.subcodes or []]


class Walk:
    def __init__(self, camera, client, out):
        self.camera, self.client, self.out = camera, client, out
        host, port = re.match(r"http://([^:/]+):(\d+)/", camera["xaddr"]).groups()
        self.device = ONVIFCamera(host, int(port), client["name"], client["password"])
        self.known = dict(CHOSEN)
        self.done = set()

    def report(self, service, operation, result, **more):
        line = {"camera": self.camera["name"], "client": self.client["name"], "role": self.client["role"],
                "service": service, "operation": operation, "result": result, **more}
        self.out.write(json.dumps(line) + "\n")

    def call(self, service, operation, arguments):
        try:
            answer = getattr(self.service(service), operation)(arguments)
        except Exception as error:  # every failure is a result
            codes = subcodes(error)
            kind = "fault" if codes is not None else "error"
            self.report(service, operation, kind, subcodes=codes, text=str(error)[:300])
            return None
        self.report(service, operation, "ok")
        return answer

    def service(self, name):
        return getattr(self.device, name, None) or self.device.create_onvif_service(name)

    def learn(self):
        """Tokens that later calls need."""
        media = self.service("media")
        profiles = media.GetProfiles()
        first = profiles[0]
        self.known["ProfileToken"] = first.token
        self.profile = first
        for name, service, call in [
            ("VideoSourceToken", "media", "GetVideoSources"),
            ("AudioSourceToken", "media", "GetAudioSources"),
            ("OSDToken", "media", "GetOSDs"),
            ("NodeToken", "ptz", "GetNodes"),
            ("PTZConfigurationToken", "ptz", "GetConfigurations"),
        ]:
            try:
                found = getattr(self.service(service), call)()
                if found:
                    self.known[name] = found[0].token
            except Exception as error:
                self.report(service, call, "error", text=str(error)[:300])

    def token_for(self, service, operation):
        """The configuration token that an operation means."""
        for kind, field in [
            ("VideoSourceConfiguration", "VideoSourceConfiguration"),
            ("VideoEncoder", "VideoEncoderConfiguration"),
            ("AudioSourceConfiguration", "AudioSourceConfiguration"),
            ("AudioEncoder", "AudioEncoderConfiguration"),
            ("VideoAnalytics", "VideoAnalyticsConfiguration"),
            ("Metadata", "MetadataConfiguration"),
            ("OSD", "VideoSourceConfiguration"),
        ]:
            if kind in operation:
                configuration = getattr(self.profile, field, None)
                return configuration.token if configuration is not None else None
        if service == "ptz":
            return self.known.get("PTZConfigurationToken")
        return None

    def arguments(self, service, operation, message):
        """Arguments for a call, or None where one is missing."""
        chosen = {}
        for name, element in message.body.type.elements:
            if name == "ConfigurationToken":
                value = self.token_for(service, operation)
            else:
                value = self.known.get(name)
            if value is not None:
                chosen[name] = value
            elif not element.is_optional and name not in self.known:
                return None
        return chosen

    def reads(self):
        for service in CONTAINERS:
            try:
                client = self.service(service).zeep_client
            except Exception as error:
                self.report(service, "-", "error", text=str(error)[:300])
                continue
            binding = self.service(service).ws_client._binding
            for operation in sorted(binding._operations):
                if not operation.startswith("Get"):
                    continue
                chosen = self.arguments(service, operation, binding._operations[operation].input)
                if chosen is None:
                    self.report(service, operation, "no-argument")
                else:
                    self.call(service, operation, chosen)

    def writes(self):
        profile = {"ProfileToken": self.profile.token}
        velocity = {"PanTilt": {"x": 0.5, "y": 0.0}, "Zoom": {"x": 0.0}}
        self.call("ptz", "ContinuousMove", {**profile, "Velocity": velocity, "Timeout": "PT1S"})
        self.call("ptz", "Stop", {**profile, "PanTilt": True, "Zoom": True})
        preset = self.call("ptz", "SetPreset", {**profile, "PresetName": "walk"})
        if preset is not None:
            self.call("ptz", "GotoPreset", {**profile, "PresetToken": preset})
            self.call("ptz", "RemovePreset", {**profile, "PresetToken": preset})
        encoder = self.profile.VideoEncoderConfiguration
        self.call("media", "SetVideoEncoderConfiguration", {"Configuration": encoder, "ForcePersistence": True})
        made = self.call("media", "CreateProfile", {"Name": "walk", "Token": "walk"})
        if made is not None:
            self.call("media", "DeleteProfile", {"ProfileToken": made.token})
        self.call("devicemgmt", "SetHostname", {"Name": "walked"})
        self.call("devicemgmt", "SetNTP", {"FromDHCP": False, "NTPManual": [{"Type": "IPv4", "IPv4Address": "203.0.113.123"}]})
        self.call("media", "SetSynchronizationPoint", profile)

    def snapshot(self):
        uri = self.call("media", "GetSnapshotUri", {"ProfileToken": self.profile.token})
        if uri is None:
            return
        digest = requests.auth.HTTPDigestAuth(self.client["name"], self.client["password"])
        answer = requests.get(uri.Uri, auth=digest, timeout=20)
        picture = answer.status_code == 200 and answer.content[:2] == b"\xff\xd8"
        self.report("http", "Snapshot", "ok" if picture else "error", text=f"{answer.status_code}, {len(answer.content)} bytes")


def main(ready_file, out_dir):
    ready = json.loads(Path(ready_file).read_text())
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    Recorder(out_dir / "received")
    with (out_dir / "results.jsonl").open("w") as out:
        for camera in ready["cameras"]:
            for client in ready["clients"]:
                walk = Walk(camera, client, out)
                walk.learn()
                walk.reads()
                walk.writes()
                walk.snapshot()


main(*sys.argv[1:])
