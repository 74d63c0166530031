//! The virtual camera: its own answers, its own addresses, and the rewriting of what the camera says.

mod absorbed;
mod asked;
mod asks;
mod baseline;
mod identity;
mod locators;
mod own;
mod rewrite;
mod services;
mod settings;
mod virtual_camera;

pub use absorbed::empty_success;
pub use asked::{Asked, Entrance};
pub use asks::{
    AskError, Media, OwnRequest, capabilities, device_information, key_frame, picture_address, profiles,
    pull, pull_point, renewal, scopes, services, subscription, synchronization, system_date_and_time,
    unsubscription,
};
pub use baseline::{BaselineQuestion, baseline_questions};
pub use identity::{FacadeKey, Identity};
pub use locators::{
    Keeping, Locator, LocatorError, LocatorKind, Locators, Named, event_path, is_token, resolve,
};
pub use own::{Asker, Own};
pub use rewrite::RewriteRefusal;
pub use services::{DEVICE, ServiceFacts, ServiceNames, learn_services};
pub use settings::{NoSetting, Setting};
pub use virtual_camera::{Facade, FacadeShared, Heard};

#[cfg(test)]
mod tests;
