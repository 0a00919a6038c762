//! Small files with a checksum, which are replaced as a whole.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::damage::{Damage, refused, unreadable};
use super::volume::{Volume, read_all, replace};
use crate::Error;

pub(super) fn read_file<T: DeserializeOwned>(
    volume: &dyn Volume,
    names: &[String],
    name: &str,
) -> Result<Option<T>, Error> {
    if !names.iter().any(|known| known == name) {
        return Ok(None);
    }
    let bytes = volume.open(name).and_then(|file| read_all(&*file)).map_err(unreadable)?;
    let parsed = std::str::from_utf8(&bytes).ok().and_then(|text| text.strip_suffix('\n')?.split_once(' '));
    let body = parsed.filter(|(crc, body)| *crc == format!("{:08x}", crc32c::crc32c(body.as_bytes())));
    let value = body.and_then(|(_, body)| serde_json::from_str(body).ok());
    value.map(Some).ok_or_else(|| damaged_file(name))
}

pub(crate) fn save(volume: &dyn Volume, name: &str, value: &impl Serialize) -> io::Result<()> {
    let body = serde_json::to_string(value).map_err(io::Error::other)?;
    replace(volume, name, format!("{:08x} {body}\n", crc32c::crc32c(body.as_bytes())).as_bytes())
}

pub(super) fn damaged_file(name: &str) -> Error {
    refused(Damage::At { name: name.to_owned(), offset: 0, what: "its checksum is wrong or it is missing" })
}
