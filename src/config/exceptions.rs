//! `[[exception]]`: restricted cameras that are served at sensitive sites for a while.

use std::collections::BTreeMap;

use jiff::civil::Date;
use toml::de::DeTable;

use super::{
    raw,
    reader::{Declared, Reader},
};
use crate::{
    ids::CameraId,
    inventory::{Camera, Site, SiteException},
};

impl Reader<'_> {
    /// The exceptions by the name of their camera.
    pub(super) fn exceptions(
        &mut self,
        table: &DeTable<'_>,
        cameras: &Declared,
    ) -> BTreeMap<CameraId, SiteException> {
        let mut all = BTreeMap::new();
        for (span, camera, exception) in
            self.many(table, "exception", |reader, _, raw| reader.exception(raw, cameras))
        {
            if all.insert(camera, exception).is_some() {
                self.error(
                    span,
                    "there are two exceptions for this camera",
                    "leave one, with the day that holds",
                );
            }
        }
        all
    }

    fn exception(
        &mut self,
        raw: raw::Exception,
        cameras: &Declared,
    ) -> Option<(std::ops::Range<usize>, CameraId, SiteException)> {
        let span = raw.camera.span();
        let camera = self.refer(&raw.camera, cameras, CameraId::new);
        let mut told = |key: &str, value: Option<&raw::Text>, remedy: &str| {
            let text = value.map(|it| it.get_ref().trim()).filter(|it| !it.is_empty());
            if text.is_none() {
                let at = value.map_or_else(|| span.clone(), raw::Text::span);
                self.error(at, &format!("an exception needs its `{key}`"), remedy);
            }
            text.map(str::to_owned)
        };
        let owner = told("owner", raw.owner.as_ref(), "name who answers for it");
        let reason = told("reason", raw.reason.as_ref(), "say why the camera cannot be replaced at once");
        let until = told("until", raw.until.as_ref(), "write its last day (UTC), as until = \"2026-12-31\"");
        let day = until.and_then(|text| {
            let day: Result<Date, _> = text.parse();
            if day.is_err() {
                let at = raw.until.as_ref().map_or_else(|| span.clone(), raw::Text::span);
                self.error(at, &format!("`{text}` is no day"), "write the last day (UTC), as \"2026-12-31\"");
            }
            day.ok()
        });
        Some((span, camera?, SiteException { owner: owner?, reason: reason?, until: day? }))
    }

    /// Tells of cameras that nobody will be served by, and of exceptions that nothing needs.
    pub(super) fn judge_exceptions(&mut self, name: &raw::Text, camera: &Camera, sites: &[Site]) {
        // One that is refused may be this camera's.
        if self.is_refused() {
            return;
        }
        let Some(site) = sites.iter().find(|it| it.id == camera.site) else { return };
        let restricted = camera.vendor.class.is_restricted();
        match &camera.exception {
            None if restricted && site.sensitive => {
                let what = format!(
                    "a restricted camera at the sensitive site `{}`: nobody is served by it",
                    site.id
                );
                self.warn(
                    name.span(),
                    &what,
                    "replace it, or add an [[exception]] with owner, reason and until",
                );
            }
            Some(_) if !restricted || !site.sensitive => {
                let what =
                    "it has an exception and needs none unless it is found to be of a restricted maker";
                self.warn(name.span(), what, "remove the [[exception]], if its maker is certain");
            }
            None | Some(_) => {}
        }
    }
}
