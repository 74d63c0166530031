//! Simulated ONVIF cameras with vendor dialects. They know nothing of the gateway.
