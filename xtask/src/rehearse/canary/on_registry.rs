//! The points at the registry: a tiny image, what is attached to it, and who reads it.

use anyhow::{Context, Result};
use oci::reference::Reference;

use crate::http::look_until_found;
use crate::registry::{Listed, RegistryError};
use crate::rehearse::canary::Canary;
use crate::rehearse::canary::points::{Found, Point, Rows, expected};

pub fn image(canary: &mut Canary<'_>, rows: &mut Rows) {
    const REST: [Point; 3] = [Point::Subject, Point::Referrers, Point::ReadImage];
    let (site, steps) = (canary.site, canary.steps);
    let (registry, digest) = (&site.registry, &steps.image.digest);
    let pushed = rows.check(Point::Push, || {
        if !registry.has_credentials() && registry.repository().is_github() {
            return Ok(Found::NotDone(format!("there are no credentials for {}", registry.repository())));
        }
        // A registry may refuse to list the tags of a package that does not exist yet.
        if let Ok((Some(tag), _)) = site.foreign_tag() {
            return Ok(Found::NotDone(format!("{}:{tag} is not the canary's", registry.repository())));
        }
        steps.push.iter().try_for_each(|step| canary.execute(step))?;
        let endpoint = registry.repository().endpoint();
        let found = look_until_found(endpoint, || registry.manifest(&Reference::from(&steps.tag)))?;
        let found = found.with_context(|| format!("{}:{} is missing", registry.repository(), steps.tag))?;
        let name = format!("{}@{}", registry.repository(), found.descriptor.digest);
        Ok(if found.descriptor.digest == *digest { expected(name) } else { Found::Differs(name) })
    });
    if pushed.is_none() {
        return rows.not_done(&REST, "there is no image");
    }
    if rows.check(Point::Subject, || canary.execute(&steps.attach).map(|()| expected("201"))).is_none() {
        rows.not_done(&[Point::Referrers], "nothing is attached");
    } else {
        rows.check(Point::Referrers, || referrers(canary));
    }
    rows.check(Point::ReadImage, || match registry.anonymous().manifest(&Reference::from(digest)) {
        Ok(Some(_)) => Ok(expected("the package is public, and anyone reads it")),
        Ok(None) => Ok(expected("the package is private: 404")),
        Err(error) => match error.downcast_ref::<RegistryError>() {
            Some(refused) if refused.is_private() => Ok(expected("the package is private: it was refused")),
            _ => Err(error),
        },
    });
}

/// What was not acknowledged, [`Registry::attach`](crate::registry::Registry::attach) has listed under the tag.
fn referrers(canary: &Canary<'_>) -> Result<Found<()>> {
    let (registry, steps) = (&canary.site.registry, canary.steps);
    let endpoint = registry.repository().endpoint();
    let mut last = None;
    look_until_found(endpoint, || {
        let listed = registry.where_listed(&steps.image.digest, &steps.attachment)?;
        last = Some(listed);
        Ok((listed.by_tag || listed.by_api == Some(true)).then_some(()))
    })?;
    let Listed { by_api, by_tag } = last.context("nothing was read")?;
    let api = match by_api {
        None => "the registry has no referrers API",
        Some(true) => "the API lists it",
        Some(false) => "the API answers without it",
    };
    Ok(match (by_tag, by_api) {
        (true, _) => expected(format!("the push was not acknowledged; {api}; the fallback tag lists it")),
        (false, Some(true)) => expected(format!("the push was acknowledged; {api}")),
        (false, _) => Found::Differs(format!("the push was acknowledged, but {api}")),
    })
}
