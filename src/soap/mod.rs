//! SOAP envelopes: decode, encode, WS-Security and WS-Addressing header blocks, faults. Sans-IO; knows no HTTP.
