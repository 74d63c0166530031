// Subscribes to events with agsh's onvif, a client that nobody here wrote.
//
//     node events.js READY_FILE OUT_DIR
//
// For every camera of the ready file and its first client: makes a pull point, pulls until an event came, renews it,
// ends it, and then lets the library do all of that by itself, as Scrypted does; at last it has them sent, to the address
// `consumer` of the ready file. OUT_DIR/results.jsonl holds one line a step; OUT_DIR/received every answer.

'use strict';
const fs = require('fs');
const http = require('http');
const path = require('path');
const { Cam } = require('onvif');

const TRIES = 12;
const [readyFile, outDir] = process.argv.slice(2);
const ready = JSON.parse(fs.readFileSync(readyFile, 'utf8'));
fs.mkdirSync(outDir, { recursive: true });
const results = fs.openSync(path.join(outDir, 'results.jsonl'), 'w');
const received = fs.openSync(path.join(outDir, 'received'), 'w');

function promise(cam, name, ...args) {
    return new Promise((resolve, reject) => {
        cam[name](...args, (error, answer) => (error ? reject(error) : resolve(answer)));
    });
}

function topics(answer) {
    return [answer.notificationMessage || []].flat().map((message) => message.topic._.trim());
}

async function walk(camera, client) {
    const url = new URL(camera.xaddr);
    const report = (step, more) => {
        fs.writeSync(results, JSON.stringify({ camera: camera.name, step, ...more }) + '\n');
    };
    const cam = new Cam({
        hostname: url.hostname, port: Number(url.port), username: client.name, password: client.password,
        autoconnect: false, timeout: 20000,
    });
    cam.on('rawResponse', (xml, status) => fs.writeSync(received, `${status}\n${xml}\n`));
    await promise(cam, 'connect');
    const made = await promise(cam, 'createPullPointSubscription');
    report('CreatePullPointSubscription', { lasts: (made.terminationTime - made.currentTime) / 1000 });
    let found = [];
    for (let tries = 0; tries < TRIES && found.length === 0; tries++) {
        found = topics(await promise(cam, 'pullMessages', { messageLimit: 100 }));
    }
    report('PullMessages', { topics: found });
    const renewed = await promise(cam, 'renew', {});
    report('Renew', { lasts: (renewed.terminationTime - renewed.currentTime) / 1000 });
    await promise(cam, 'unsubscribe');
    report('Unsubscribe', {});
    const event = new Promise((resolve, reject) => {
        const late = setTimeout(() => reject(new Error('no event came')), 90000);
        cam.on('eventsError', reject);
        cam.on('event', (message) => {
            clearTimeout(late);
            resolve(message.topic._.trim());
        });
    });
    report('event', { topics: [await event] });
    cam.removeAllListeners('event');
    await isSent(cam, report);
}

// Has events sent to a server of its own. The library names that in wsa:ReplyTo, too.
async function isSent(cam, report) {
    const server = http.createServer();
    const told = new Promise((resolve) => {
        server.on('request', (request, answer) => {
            let body = '';
            request.on('data', (more) => { body += more; });
            request.on('end', () => {
                answer.end();
                resolve([...body.matchAll(/<wsnt:Topic [^>]*>([^<]*)</g)].map((found) => found[1]));
            });
        });
    });
    const own = ready.consumer || '127.0.0.1';
    await new Promise((resolve) => server.listen(0, own, resolve));
    await promise(cam, 'subscribe', { url: `http://${own}:${server.address().port}/hook` });
    report('Subscribe', { topics: await told });
    await promise(cam, 'unsubscribe');
    server.closeAllConnections();
    server.close();
}

(async () => {
    for (const camera of ready.cameras) {
        await walk(camera, ready.clients[0]);
    }
    fs.closeSync(results);
    fs.closeSync(received);
    // The library may be pulling still.
    process.exit(0);
})().catch((error) => {
    console.error(error);
    process.exit(1);
});
