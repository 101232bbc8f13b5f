"""An RTSP camera on loopback: the pictures of a folder as H.264, one a second, over and over. `rtsp-camera.py PORT PATTERN`."""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

port, pattern = sys.argv[1:]
Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(port)
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(
    f'( multifilesrc location="{pattern}" start-index=1 loop=true caps="image/jpeg,framerate=1/1" ! jpegdec ! videorate'
    " ! videoconvert ! video/x-raw,format=I420,framerate=5/1"
    # A key frame every second, and every pixel kept well enough for small plates.
    " ! x264enc tune=zerolatency speed-preset=ultrafast pass=quant quantizer=18 key-int-max=5"
    " ! rtph264pay name=pay0 pt=96 config-interval=1 )"
)
factory.set_shared(True)
server.get_mount_points().add_factory("/live", factory)
server.attach(None)
print("listening", flush=True)
GLib.MainLoop().run()
