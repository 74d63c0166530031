#!/usr/bin/env python3
"""Asks by ARP who the gateway is, some times in a second, and prints how often it was told.

asker.py INTERFACE OWN_MAC OWN_IP GATEWAY_IP TIMES
"""
import select
import socket
import struct
import sys

INTERFACE, OWN, OWN_IP, GATEWAY, TIMES = sys.argv[1:6]
OWN = bytes.fromhex(OWN.replace(":", ""))
ends = OWN + socket.inet_aton(OWN_IP) + b"\0" * 6 + socket.inet_aton(GATEWAY)
question = b"\xff" * 6 + OWN + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1) + ends

wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
wire.bind((INTERFACE, 0))
told = 0
for _ in range(int(TIMES)):
    wire.send(question)
    # Answers come at once; the next question waits, as one who behaves does.
    came = False
    for _ in range(200):
        if select.select([wire], [], [], 0.005)[0]:
            frame = wire.recv(2048)
            came |= frame[:6] == OWN and frame[20:22] == b"\0\2" and frame[28:32] == socket.inet_aton(GATEWAY)
        if came:
            break
    told += came
    select.select([], [], [], 0.3)
print(told)
