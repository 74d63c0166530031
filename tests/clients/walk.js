// Walks a gateway with agsh's onvif, a client that nobody here wrote.
//
//     node walk.js READY_FILE OUT_DIR
//
// For every camera and client of the ready file: connects (with HTTP digest for every second camera, else with
// WS-Security), calls every read the library has for device, media, PTZ and events, then the writes of the
// role. OUT_DIR/results.jsonl holds one line a call; OUT_DIR/received every answer's status and body.

'use strict';
const fs = require('fs');
const path = require('path');
const { Cam } = require('onvif');

const READS = [
    'getSystemDateAndTime', 'getCapabilities', 'getServiceCapabilities', 'getDeviceInformation', 'getHostname',
    'getScopes', 'getNTP', 'getNetworkInterfaces', 'getNetworkDefaultGateway', 'getDNS', 'getNetworkProtocols',
    'getUsers', 'getVideoSources', 'getVideoSourceConfigurations', 'getVideoEncoderConfigurations',
    'getAudioSources', 'getAudioSourceConfigurations', 'getAudioEncoderConfigurations', 'getAudioOutputs',
    'getAudioOutputConfigurations', 'getProfiles', 'getMediaServiceCapabilities', 'getNodes', 'getConfigurations',
    'getEventProperties', 'getEventServiceCapabilities', 'createPullPointSubscription',
];

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

async function walk(camera, client, useWSSecurity) {
    const url = new URL(camera.xaddr);
    const report = (operation, result, text) => {
        const line = { camera: camera.name, client: client.name, role: client.role, wsse: useWSSecurity, operation, result, text };
        fs.writeSync(results, JSON.stringify(line) + '\n');
    };
    const cam = new Cam({
        hostname: url.hostname, port: Number(url.port), username: client.name, password: client.password,
        useWSSecurity, autoconnect: false, timeout: 20000,
    });
    cam.on('rawResponse', (xml, status) => fs.writeSync(received, `${status}\n${xml}\n`));
    cam.on('warning', (text) => report('connect', 'warning', text));
    const call = async (operation, ...args) => {
        try {
            const answer = await promise(cam, operation, ...args);
            report(operation, 'ok');
            return answer;
        } catch (error) {
            report(operation, 'error', String(error.message || error).slice(0, 300));
            return undefined;
        }
    };

    await call('connect');
    await call('getServices', true);
    for (const read of READS) {
        await call(read);
    }
    const profileToken = cam.activeSource && cam.activeSource.profileToken;
    const stream = await call('getStreamUri', { protocol: 'RTSP', profileToken });
    const snapshot = await call('getSnapshotUri', { profileToken });
    for (const uri of [stream, snapshot]) {
        fs.writeSync(received, JSON.stringify(uri === undefined ? null : uri) + '\n');
    }
    await call('getVideoEncoderConfigurationOptions', { profileToken });
    await call('getOSDs');
    await call('getPresets', { profileToken });
    await call('getStatus', { profileToken });
    const [configuration] = Object.values((await call('getConfigurations')) || {});
    await call('getConfigurationOptions', configuration && configuration.token);

    // What Scrypted writes back: the encoder's settings as it read them.
    const encoders = await call('getVideoEncoderConfigurations');
    await call('setVideoEncoderConfiguration', (encoders || [{}])[0]);
    await call('relativeMove', { profileToken, x: 0.1, y: 0, zoom: 0 });
    await call('gotoHomePosition', { profileToken });

    await call('continuousMove', { profileToken, x: 0.5, y: 0, zoom: 0 });
    await call('stop', { profileToken, panTilt: true, zoom: true });
    await call('setNTP', { fromDHCP: false, type: 'IPv4', ipv4Address: '203.0.113.124' });
}

(async () => {
    let wsse = true;
    for (const camera of ready.cameras) {
        for (const client of ready.clients) {
            await walk(camera, client, wsse);
            wsse = !wsse;
        }
    }
    fs.closeSync(results);
    fs.closeSync(received);
})().catch((error) => {
    console.error(error);
    process.exit(1);
});
