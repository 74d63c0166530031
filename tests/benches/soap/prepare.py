#!/usr/bin/env python3
"""Prepares the benchmark: `configure DIR` writes every configuration file; `tokens FILE LOGIN PORT PATH COUNT
THREADS` writes one login a line (a wsse:Security block, or an Authorization value), for as many threads that take turns."""

import base64
import datetime
import hashlib
import http.client
import os
import re
import sys

CLIENT, PASSWORD = "bench", "bench-password"
CAMERA = "127.0.9.1"
# So many cameras are there, at CAMERA and the addresses after it, and behind each subject as many ports from its
# first one on: a VMS asks many cameras and none of them 256 times at once.
CAMERAS = 8
PROXY, MODSEC, NEW, REPEATING = 18110, 18120, 18130, 18140
ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?><env:Envelope xmlns:env="http://www.w3.org/2003/05/soap-envelope"'
    ' xmlns:tds="http://www.onvif.org/ver10/device/wsdl" xmlns:trt="http://www.onvif.org/ver10/media/wsdl"'
    ' xmlns:tt="http://www.onvif.org/ver10/schema"><env:Body>{}</env:Body></env:Envelope>'
)


def profile(number):
    rates = "<tt:Multicast><tt:Address><tt:Type>IPv4</tt:Type><tt:IPv4Address>0.0.0.0</tt:IPv4Address></tt:Address>"
    return (
        f'<trt:Profiles token="profile-{number}" fixed="true"><tt:Name>stream {number}</tt:Name>'
        f'<tt:VideoSourceConfiguration token="source"><tt:Name>source</tt:Name><tt:UseCount>{number}</tt:UseCount>'
        '<tt:SourceToken>sensor</tt:SourceToken><tt:Bounds x="0" y="0" width="1920" height="1080"/>'
        f'</tt:VideoSourceConfiguration><tt:VideoEncoderConfiguration token="encoder-{number}"><tt:Name>encoder</tt:Name>'
        "<tt:UseCount>1</tt:UseCount><tt:Encoding>H264</tt:Encoding><tt:Resolution><tt:Width>1920</tt:Width>"
        "<tt:Height>1080</tt:Height></tt:Resolution><tt:Quality>4</tt:Quality><tt:RateControl><tt:FrameRateLimit>25"
        "</tt:FrameRateLimit><tt:EncodingInterval>1</tt:EncodingInterval><tt:BitrateLimit>4096</tt:BitrateLimit>"
        "</tt:RateControl><tt:H264><tt:GovLength>50</tt:GovLength><tt:H264Profile>High</tt:H264Profile></tt:H264>"
        f"{rates}<tt:Port>0</tt:Port><tt:TTL>1</tt:TTL><tt:AutoStart>false</tt:AutoStart></tt:Multicast>"
        "<tt:SessionTimeout>PT60S</tt:SessionTimeout></tt:VideoEncoderConfiguration></trt:Profiles>"
    )


def answers(port):
    """Operation → its answer; `@` stands for a text that is new in each answer."""
    def service(name, version, path):
        return (
            f"<tds:Service><tds:Namespace>http://www.onvif.org/{version}/{name}/wsdl</tds:Namespace><tds:XAddr>"
            f"http://{CAMERA}:{port}/onvif/{path}</tds:XAddr><tds:Version><tt:Major>2</tt:Major><tt:Minor>6</tt:Minor>"
            "</tds:Version></tds:Service>"
        )
    listed = service("device", "ver10", "device_service") + service("media", "ver10", "media")
    listed += service("ptz", "ver20", "ptz")
    profiles = "".join(profile(number) for number in range(1, 5))
    return {
        "GetServices": f"<tds:GetServicesResponse>{listed}</tds:GetServicesResponse>",
        "GetScopes": "<tds:GetScopesResponse><tds:Scopes><tt:ScopeDef>Fixed</tt:ScopeDef><tt:ScopeItem>"
        "onvif://www.onvif.org/type/video_encoder</tt:ScopeItem></tds:Scopes></tds:GetScopesResponse>",
        "GetDeviceInformation": "<tds:GetDeviceInformationResponse><tds:Manufacturer>AXIS</tds:Manufacturer>"
        "<tds:Model>stand-in</tds:Model><tds:FirmwareVersion>1.0</tds:FirmwareVersion><tds:SerialNumber>1</tds:SerialNumber>"
        "<tds:HardwareId>1</tds:HardwareId></tds:GetDeviceInformationResponse>",
        # For ModSecurity, whose rules refuse this answer.
        "GetHostname": "<tds:GetHostnameResponse><tds:HostnameInformation><tt:FromDHCP>false</tt:FromDHCP>"
        "<tt:Name>192.0.2.7</tt:Name></tds:HostnameInformation></tds:GetHostnameResponse>",
        "Stop": '<tptz:StopResponse xmlns:tptz="http://www.onvif.org/ver20/ptz/wsdl"/>',
        "GetProfiles": "<trt:GetProfilesResponse>" + profiles.replace("stream 1", "stream @", 1)
        + "</trt:GetProfilesResponse>",
    }


def host(number):
    """The address of a camera."""
    before, _, last = CAMERA.rpartition(".")
    return f"{before}.{int(last) + number}"


def camera(port, varying, hosts):
    """An nginx server that answers by the action in the content type. A word of its configuration has at most
    4,096 bytes, so that long answers are put together from several."""
    listen = " ".join(f"listen {it}:{port};" for it in hosts)
    server = [f"server {{ {listen} default_type application/soap+xml;"]
    for operation, body in answers(port).items():
        text = ENVELOPE.format(body)
        before, sign, after = text.partition("@")
        pieces = [("set", piece) for piece in re.findall(".{1,3000}", before)]
        pieces += [("new", None)] if sign and varying else [("set", "0" * 32)] if sign else []
        pieces += [("set", piece) for piece in re.findall(".{1,3000}", after)]
        names = []
        for number, (kind, piece) in enumerate(pieces):
            name = f"${operation}_{number}" if kind == "set" else "$request_id"
            names.append("${" + name[1:] + "}")
            if kind == "set":
                server.append(f"set {name} '{piece}';")
        server.append(f"location = /{operation} {{ return 200 '{''.join(names)}'; }}")
    server.append("location / { rewrite ^ /$answer last; }")
    server.append("location = /unknown { return 500 'no such operation'; } }")
    return "\n".join(server)


def nginx(work, name, http, modules="", connections=4096, files=None):
    folders = "".join(
        f"{kind}_temp_path {work}/{name}-{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = (
        f"{modules}worker_processes 1;\npid {work}/{name}.pid;\nerror_log {work}/{name}-error.log warn;\n"
        f"worker_rlimit_nofile {files or 2 * connections};\nevents {{ worker_connections {connections}; }}\nhttp {{\naccess_log off;\nkeepalive_requests 100000000;\n{folders}{http}\n}}\n"
    )
    with open(f"{work}/{name}.conf", "w", encoding="utf-8") as out:
        out.write(text)


def proxy(listen, extra=""):
    return "\n".join(
        f"upstream camera{it} {{ server {host(it)}:18085; keepalive 256; keepalive_requests 100000000; }}\n"
        f"server {{ listen 127.0.0.1:{listen + it}; {extra}\nlocation / {{ proxy_pass http://camera{it};"
        ' proxy_http_version 1.1; proxy_set_header Connection ""; } }'
        for it in range(CAMERAS)
    )


MODSECURITY = """SecRuleEngine On
SecRequestBodyAccess On
SecRequestBodyLimit 262144
SecResponseBodyAccess On
SecResponseBodyMimeType application/soap+xml text/xml
SecResponseBodyLimit 4194304
SecAuditEngine On
SecAuditLogType Serial
SecAuditLogFormat JSON
SecAuditLogParts ABFHZ
SecAuditLog {work}/modsecurity-audit.json
SecRule REQUEST_HEADERS:Content-Type "@contains xml" "id:1,phase:1,pass,nolog,t:lowercase,ctl:requestBodyProcessor=XML"
SecRule REQBODY_ERROR "!@eq 0" "id:2,phase:2,deny,status:400"
SecRule REQUEST_BODY "@rx <(?:[a-z0-9]+:)?(?:SetNTP|CreateUsers|SystemReboot)" "id:3,phase:2,deny,status:403"
SecRule XML:/* "@rx 198[.]51[.]100[.]" "id:4,phase:2,deny,status:403"
SecRule RESPONSE_BODY "@rx (?:192[.]0[.]2|198[.]51[.]100)[.]" "id:5,phase:4,deny,status:502"
"""

CORDON = """[gateway]
name = "Bench"
state_dir = "state"
threads = 1
[listener]
bind = "127.0.0.1"
[admin]
listen = "{work}/admin.sock"
[[site]]
name = "bench"
sensitive = false
[[zone]]
name = "bench"
isolation = "none"
prefixes = ["127.0.9.0/24"]
[[client]]
name = "{client}"
role = "Operator"
password = {{ file = "client" }}
networks = ["127.0.0.0/8"]
"""

CORDON_CAMERA = """[[camera]]
name = "{name}"
address = "{host}:{port}"
zone = "bench"
site = "bench"
vendor = "Axis"
username = "gateway"
password = {{ file = "camera" }}
listen_port = {listen}
"""


def configure(work):
    # The action stands last in the content type, between quotation marks.
    choices = " ".join(f"~/{operation}.?$ {operation};" for operation in answers(0))
    choice = f"map $http_content_type $answer {{ default unknown; {choices} }}\n"
    hosts = [host(number) for number in range(CAMERAS)]
    nginx(work, "camera", choice + camera(18080, True, hosts) + "\n" + camera(18085, False, hosts))
    nginx(work, "proxy", proxy(PROXY))
    with open(f"{work}/modsecurity-rules.conf", "w", encoding="utf-8") as out:
        out.write(MODSECURITY.replace("{work}", work))
    modules = "".join(
        f"load_module /usr/lib/nginx/modules/{name}.so;\n" for name in ("ndk_http_module", "ngx_http_modsecurity_module")
    )
    rules = f"modsecurity on; modsecurity_rules_file {work}/modsecurity-rules.conf;"
    nginx(work, "modsecurity", proxy(MODSEC, rules), modules)
    cameras = [("new", 18080, NEW), ("repeating", 18085, REPEATING)]
    text = CORDON.format(client=CLIENT, work=work) + "".join(
        CORDON_CAMERA.format(name=f"{name}-{it}", host=host(it), port=port, listen=listen + it)
        for name, port, listen in cameras
        for it in range(CAMERAS)
    )
    with open(f"{work}/cordon.toml", "w", encoding="utf-8") as out:
        out.write(text)
    for name, secret in (("client", PASSWORD), ("camera", "camera-password")):
        with open(os.open(f"{work}/{name}", os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as out:
            out.write(secret)


def wsse(count):
    wss = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
    # Made for the middle of the run: any moment of it is within the window of 300 seconds.
    created = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    for _ in range(count):
        nonce = os.urandom(16)
        digest = base64.b64encode(hashlib.sha1(nonce + created.encode() + PASSWORD.encode()).digest()).decode()
        yield (
            f'<w:Security xmlns:w="{wss}wssecurity-secext-1.0.xsd" xmlns:u="{wss}wssecurity-utility-1.0.xsd">'
            f'<w:UsernameToken><w:Username>{CLIENT}</w:Username><w:Password Type="{wss}username-token-profile-1.0#PasswordDigest">'
            f'{digest}</w:Password><w:Nonce>{base64.b64encode(nonce).decode()}</w:Nonce><u:Created>{created}</u:Created>'
            "</w:UsernameToken></w:Security>"
        )


def challenge(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", path, "", {"Content-Type": "application/soap+xml"})
    challenges = connection.getresponse().headers.get_all("WWW-Authenticate")
    offered = next(it for it in challenges if "SHA-256" in it)
    realm, nonce = (re.search(f'{key}="([^"]*)"', offered)[1] for key in ("realm", "nonce"))
    opaque = re.search('opaque="([^"]*)"', offered)
    return realm, nonce, f', opaque="{opaque[1]}"' if opaque else ""


def digest(port, path, count, threads):
    def hashed(text):
        return hashlib.sha256(text.encode()).hexdigest()
    # The count of a nonce must grow, so that each thread has one of its own.
    offers = [challenge(port, path) for _ in range(threads)]
    target = hashed(f"POST:{path}")
    users = {realm: hashed(f"{CLIENT}:{realm}:{PASSWORD}") for realm, _, _ in offers}
    for index in range(count):
        realm, nonce, opaque = offers[index % threads]
        user, number = users[realm], index // threads + 1
        response = hashed(f"{user}:{nonce}:{number:08x}:bench:auth:{target}")
        yield (
            f'Digest username="{CLIENT}", realm="{realm}", nonce="{nonce}", uri="{path}", algorithm=SHA-256, qop=auth,'
            f' nc={number:08x}, cnonce="bench", response="{response}"{opaque}'
        )


def tokens(file, login, port, path, count, threads):
    lines = {"none": lambda: [""], "wsse": lambda: wsse(count), "digest": lambda: digest(port, path, count, threads)}[login]()
    with open(file, "w", encoding="utf-8") as out:
        out.writelines(line + "\n" for line in lines)


if __name__ == "__main__":
    if sys.argv[1] == "configure":
        configure(sys.argv[2])
    else:
        tokens(sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5], int(sys.argv[6]), int(sys.argv[7]))
