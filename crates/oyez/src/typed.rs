//! What a hub carries.

use serde::Serialize;
use serde::de::DeserializeOwned;

use oyez_proto::Event;

use crate::Error;

/// A value that can be published and read as an [`Event`].
///
/// Implemented for [`Event`], `String` and `serde_json::Value`; for types of your own by the marker [`JsonPayload`],
/// or by hand. Neither method may block.
pub trait Payload: Send + Sync + Sized + 'static {
    /// Is the value kept beside its frame, so that filters need no decoding? Say no where decoding is cheap and the
    /// value is as large as its frame.
    const KEPT: bool = true;

    /// The event that carries this value.
    ///
    /// # Errors
    /// Whatever stands in the way, by [`Error::payload`]; nothing is published then.
    fn encode(&self) -> Result<Event, Error>;

    /// The value that `event` carries.
    ///
    /// # Errors
    /// Whatever stands in the way, by [`Error::payload`]; a filtered stream then announces a gap.
    fn decode(event: &Event) -> Result<Self, Error>;
}

/// Marks a type whose JSON is the data of its events:
///
/// ```
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Order {
///     total: u32,
/// }
/// impl oyez::JsonPayload for Order {}
///
/// let hub = oyez::Hub::<Order>::new();
/// hub.try_publish("orders", Order { total: 7 })?;
/// # Ok::<(), oyez::Error>(())
/// ```
pub trait JsonPayload: Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<T: JsonPayload> Payload for T {
    fn encode(&self) -> Result<Event, Error> {
        serde_json::to_string(self).map(Event::data).map_err(Error::payload)
    }

    fn decode(event: &Event) -> Result<Self, Error> {
        serde_json::from_str(event.data_str()).map_err(Error::payload)
    }
}

impl Payload for Event {
    const KEPT: bool = false;

    fn encode(&self) -> Result<Event, Error> {
        Ok(self.clone())
    }

    fn decode(event: &Event) -> Result<Self, Error> {
        Ok(event.clone())
    }
}

impl Payload for String {
    const KEPT: bool = false;

    fn encode(&self) -> Result<Event, Error> {
        Ok(Event::data(self.as_str()))
    }

    fn decode(event: &Event) -> Result<Self, Error> {
        Ok(event.data_str().to_owned())
    }
}

impl Payload for serde_json::Value {
    fn encode(&self) -> Result<Event, Error> {
        Ok(Event::data(self.to_string()))
    }

    fn decode(event: &Event) -> Result<Self, Error> {
        serde_json::from_str(event.data_str()).map_err(Error::payload)
    }
}
