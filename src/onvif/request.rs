//! What the gateway adds to a request before a camera gets it.

use crate::schema::{BuildError, Builder, Document, Element, Tables};

/// How long a movement lasts whose client named no end, as ONVIF writes durations (PTZ §5.3.3).
const MOVEMENT_TIMEOUT: &str = "PT10S";

/// Gives a `tptz:ContinuousMove` without `Timeout` one of ten seconds, so that a camera stops even if the
/// client, the network or the gateway is gone. Any other request comes back as it was.
pub fn with_movement_timeout(tables: &Tables, request: Document) -> Result<Document, BuildError> {
    let root = request.root();
    if tables.qualified(root.name()) != "tptz:ContinuousMove" || root.child("Timeout").is_some() {
        return Ok(request);
    }
    let mut copy = Builder::new(tables, root.node());
    copy_inside(root, &mut copy)?;
    copy.leaf("Timeout", MOVEMENT_TIMEOUT)?;
    copy.finish()
}

fn copy_inside(element: Element<'_>, copy: &mut Builder<'_>) -> Result<(), BuildError> {
    for attribute in element.attributes() {
        copy.attribute(attribute.local, attribute.text)?;
    }
    if !element.text().is_empty() {
        copy.text(element.text())?;
    }
    for child in element.children() {
        copy.open(child.local())?;
        copy_inside(child, copy)?;
        copy.close()?;
    }
    Ok(())
}
