#!/usr/bin/env python3
"""A hostile camera: sends, round after round, every frame that might lead out of its zone.

hostile.py INTERFACE OWN_IP OWN_IP6 GATEWAY_IP GATEWAY_IP6 GATEWAY_MAC CORE_IP OTHER_ZONE_IP ROUNDS MARKER CORE_IP6

ROUNDS 0 means until its input ends, and less than that so many frames to as many
places, and a quarter as many neighbours. Prints a JSON object: rounds, frames, and how often each kind was sent.
"""
import errno
import json
import select
import socket
import struct
import sys

(INTERFACE, OWN, OWN6, GATEWAY, GATEWAY6, GATEWAY_MAC, CORE, OTHER, ROUNDS, MARKER, CORE6) = sys.argv[1:12]
ROUNDS, MARKER = int(ROUNDS), MARKER.encode()
WAN = "203.0.113.9"
WAN6 = "2001:db8:ffff::9"
ALL = b"\xff" * 6


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ether(to, kind, rest):
    return to + SELF + struct.pack("!H", kind) + rest


def ip4(source, to, protocol, rest, options=b"", fragment=0):
    head = struct.pack("!BBHHHBBH4s4s", 0x40 + 5 + len(options) // 4, 0, 20 + len(options) + len(rest), 7, fragment,
                       64, protocol, 0, socket.inet_aton(source), socket.inet_aton(to)) + options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + rest


def ip6(source, to, following, rest, hops=64):
    return struct.pack("!IHBB16s16s", 6 << 28, len(rest), following, hops, socket.inet_pton(socket.AF_INET6, source),
                       socket.inet_pton(socket.AF_INET6, to)) + rest


def icmp6(source, to, rest, hops=255):
    pseudo = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, to)
    pseudo += struct.pack("!IxxxB", len(rest), 58) + rest
    return ip6(source, to, 58, rest[:2] + struct.pack("!H", checksum(pseudo)) + rest[4:], hops)


def udp(port, sport=5000):
    return struct.pack("!HHHH", sport, port, 8 + len(MARKER), 0) + MARKER


def tcp(port, flags=2):
    return struct.pack("!HHIIBBHHH", 40000, port, 1, 1, 0x50, flags, 1024, 0, 0) + MARKER


def arp(operation, sender_ip, target_ip, sender_mac=None):
    return struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, operation, sender_mac or SELF, socket.inet_aton(sender_ip),
                       b"\0" * 6, socket.inet_aton(target_ip)) + MARKER


def frames():
    gateway = mac(GATEWAY_MAC)
    v4 = lambda to, protocol, rest, source=OWN, **more: ether(gateway, 0x0800, ip4(source, to, protocol, rest, **more))
    for port in (21, 22, 23, 80, 443, 554, 8081, 8554, 9080, 34567):
        yield "scan-core", v4(CORE, 6, tcp(port))
        yield "scan-gateway", v4(GATEWAY, 6, tcp(port))
    for port, name in ((53, "dns"), (123, "ntp"), (3478, "stun"), (8800, "p2p"), (443, "quic"), (1900, "ssdp")):
        yield name, v4(WAN, 17, udp(port))
        yield name + "-core", v4(CORE, 17, udp(port))
    yield "dns-tcp", v4(WAN, 6, tcp(53))
    yield "doh", v4(WAN, 6, tcp(443))
    yield "ack-core", v4(CORE, 6, tcp(8081, 16))
    yield "ping-wan", v4(WAN, 1, b"\x08\0" + struct.pack("!H", checksum(b"\x08\0\0\0\0\0\0\0" + MARKER)) + b"\0\0\0\0" + MARKER)
    yield "ping-core", v4(CORE, 1, b"\x08\0\0\0\0\0\0\0" + MARKER)
    yield "gre", v4(WAN, 47, b"\0\0\x08\0" + MARKER)
    yield "esp", v4(WAN, 50, b"\0\0\0\1" + MARKER)
    yield "raw-ip", v4(WAN, 253, MARKER)
    yield "other-zone", v4(OTHER, 6, tcp(80))
    yield "source-route", v4(WAN, 17, udp(53), options=b"\x83\x07\x04" + socket.inet_aton(CORE) + b"\0")
    yield "fragment", v4(CORE, 17, MARKER * 2, fragment=0x2001)
    for source in (CORE, GATEWAY, "127.0.0.1", "0.0.0.0", "224.0.0.1", WAN, "192.168.200.7"):
        yield "spoof", v4(CORE, 17, udp(5060), source=source)
        yield "spoof-gateway", v4(GATEWAY, 17, udp(161), source=source)
    yield "loopback", v4("127.0.0.1", 6, tcp(9080))
    for to, port in (("239.255.255.250", 3702), ("224.0.0.251", 5353), ("239.255.255.250", 1900), ("255.255.255.255", 37020)):
        yield "multicast", ether(ALL, 0x0800, ip4(OWN, to, 17, udp(port)))
    yield "igmp", ether(ALL, 0x0800, ip4(OWN, "224.0.0.22", 2, b"\x22\0\0\0\0\0\0\1\4\0\0\0\xef\xff\xff\xfa"))
    yield "dhcp-discover", ether(ALL, 0x0800, ip4("0.0.0.0", "255.255.255.255", 17, udp(67, 68)))
    yield "dhcp-offer", ether(ALL, 0x0800, ip4(OWN, "255.255.255.255", 17, udp(68, 67)))
    for operation, sender, target, whose in ((1, OWN, CORE, None), (1, OWN, WAN, None), (2, GATEWAY, OWN, None),
                                             (1, GATEWAY, GATEWAY, None), (2, CORE, GATEWAY, None), (2, WAN, GATEWAY, None)):
        yield "arp", ether(ALL, 0x0806, arp(operation, sender, target, whose))
    for tag in (1, 2, 20, 4094):
        inner = struct.pack("!HH", tag, 0x0800) + ip4(OWN, CORE, 17, udp(53))
        yield "tagged", ether(gateway, 0x8100, inner)
    yield "tagged-twice", ether(gateway, 0x88A8, struct.pack("!HHH", 1, 0x8100, 20) + struct.pack("!H", 0x0800) + ip4(OWN, CORE, 17, udp(53)))
    yield "lldp", ether(mac("01:80:c2:00:00:0e"), 0x88CC, MARKER)
    yield "eapol", ether(mac("01:80:c2:00:00:03"), 0x888E, MARKER)
    yield "local-experiment", ether(ALL, 0x88B5, MARKER)
    yield "wake-on-lan", ether(ALL, 0x0842, ALL + gateway * 16 + MARKER)
    v6 = lambda to, following, rest, source=OWN6: ether(gateway, 0x86DD, ip6(source, to, following, rest))
    yield "v6-udp", v6(WAN6, 17, udp(53))
    yield "v6-tcp", v6(WAN6, 6, tcp(443))
    yield "v6-core", v6(CORE6, 6, tcp(8081))
    yield "v6-core-udp", v6(CORE6, 17, udp(3702))
    yield "v6-gateway", v6(GATEWAY6, 6, tcp(22))
    yield "v6-spoof", v6(WAN6, 17, udp(123), "2001:db8:77::1")
    yield "v6-mapped", v6("::ffff:" + CORE, 17, udp(53))
    yield "6in4", v4(WAN, 41, ip6(OWN6, WAN6, 17, udp(53)))
    link = "fe80::66"
    prefix = b"\3\4\x40\xc0" + struct.pack("!III", 86400, 86400, 0) + socket.inet_pton(socket.AF_INET6, "2001:db8:bad::")
    yield "router-advert", ether(mac("33:33:00:00:00:01"), 0x86DD, icmp6(link, "ff02::1", b"\x86\0\0\0\x40\0\x07\x08" + b"\0" * 8 + prefix))
    yield "router-solicit", ether(mac("33:33:00:00:00:02"), 0x86DD, icmp6(link, "ff02::2", b"\x85\0\0\0\0\0\0\0"))
    yield "redirect", ether(gateway, 0x86DD, icmp6(link, GATEWAY6, b"\x89\0\0\0\0\0\0\0" + socket.inet_pton(socket.AF_INET6, OWN6) + socket.inet_pton(socket.AF_INET6, WAN6)))
    yield "mld", ether(mac("33:33:00:00:00:16"), 0x86DD, icmp6(link, "ff02::16", b"\x8f\0\0\0\0\0\0\0"))
    yield "v6-multicast", ether(mac("33:33:00:00:00:fb"), 0x86DD, ip6(link, "ff02::fb", 17, udp(5353)))


wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind((INTERFACE, 0))


def send(frame):
    """Sends once there is room: on a busy machine the other end takes a while."""
    while True:
        try:
            return wire.send(frame)
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            select.select([], [], [], 0.001)


SELF = wire.getsockname()[4]
prepared = list(frames())
sent, rounds = {}, 0
for number in range(-ROUNDS):
    place = f"100.{64 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
    send(ether(mac(GATEWAY_MAC), 0x0800, ip4(OWN, place, 17, udp(53))))
    sent["flood"] = number + 1
for number in range(-ROUNDS // 4):
    claimed = f"2001:db8:1::{number >> 16:x}:{number & 0xFFFF:x}:66"
    question = b"\x87\0\0\0\0\0\0\0" + socket.inet_pton(socket.AF_INET6, GATEWAY6) + b"\1\1" + SELF
    send(ether(mac(GATEWAY_MAC), 0x86DD, icmp6(claimed, GATEWAY6, question)))
    sent["neighbours"] = number + 1
while ROUNDS == 0 or rounds < ROUNDS:
    for name, frame in prepared:
        send(frame)
        sent[name] = sent.get(name, 0) + 1
    rounds += 1
    # In turns with whoever else runs on this machine; ends with its input.
    if ROUNDS == 0 and select.select([sys.stdin], [], [], 0.05)[0]:
        break
print(json.dumps({"rounds": rounds, "frames": sum(sent.values()), "sent": sent}))
