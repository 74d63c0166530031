"""GStreamer's RTSP server as a relay: `gstreamer.py PORT SOURCE...`, source N at the path /N."""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_service(sys.argv[1])
for number, source in enumerate(sys.argv[2:]):
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        f"( rtspsrc location={source} protocols=tcp latency=0 ! rtph264depay ! rtph264pay name=pay0 pt=96 mtu=1400 )"
    )
    factory.set_shared(True)
    server.get_mount_points().add_factory(f"/{number}", factory)
server.attach(None)
GLib.MainLoop().run()
