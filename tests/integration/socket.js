// Asks for the methods of a stream over a WebSocket, with the client that comes with Node.js: node socket.js URL STREAM
const [url, stream] = process.argv.slice(2);
const socket = new WebSocket(url, "rtsp.onvif.org");
socket.binaryType = "arraybuffer";
socket.onopen = () => socket.send(Buffer.from(`OPTIONS ${stream} RTSP/1.0\r\nCSeq: 7\r\n\r\n`));
socket.onmessage = ({ data }) => {
    console.log(socket.protocol, JSON.stringify(Buffer.from(data).toString()));
    socket.close(1000);
};
socket.onclose = ({ code }) => console.log("closed", code);
socket.onerror = () => console.log("failed");
