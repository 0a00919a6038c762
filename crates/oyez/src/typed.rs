//! What a hub carries.

use std::borrow::Cow;
use std::sync::Arc;

use oyez_proto::Event;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Error;

/// A value that can be published and read as an [`Event`].
///
/// Implemented for [`Event`], `String` and `serde_json::Value`; for types of your own by the marker [`JsonPayload`],
/// or by hand; for types of other crates by [`Json`]. Neither method may block.
#[diagnostic::on_unimplemented(
    message = "a hub cannot carry `{Self}`",
    label = "not a payload",
    note = "for a type of your own with `Serialize` and `Deserialize`: `impl oyez::JsonPayload for {Self} {{}}`",
    note = "for a type of another crate: `oyez::Json<{Self}>`",
    note = "for anything else: implement `oyez::Payload` by hand"
)]
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
///
/// A type of events that depends on the value:
///
/// ```
/// #[derive(serde::Serialize, serde::Deserialize)]
/// #[serde(tag = "kind")]
/// enum Change {
///     Placed { total: u32 },
///     Cancelled,
/// }
/// impl oyez::JsonPayload for Change {
///     fn event_type(&self) -> Option<&str> {
///         Some(match self {
///             Self::Placed { .. } => "placed",
///             Self::Cancelled => "cancelled",
///         })
///     }
/// }
/// # use oyez::Payload;
/// # assert_eq!(Change::Cancelled.encode()?.event_type(), Some("cancelled"));
/// # Ok::<(), oyez::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not marked as a JSON payload",
    note = "for a type of your own with `Serialize` and `Deserialize`: `impl oyez::JsonPayload for {Self} {{}}`",
    note = "for a type of another crate: `oyez::Json<{Self}>`"
)]
pub trait JsonPayload: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The type that its events are dispatched as; `None` is `message`. A publish can say another one:
    /// [`Publish::event`](crate::Publish::event).
    fn event_type(&self) -> Option<&str> {
        None
    }
}

impl<T: JsonPayload> Payload for T {
    fn encode(&self) -> Result<Event, Error> {
        let event = serde_json::to_string(self).map(Event::data).map_err(Error::payload)?;
        match self.event_type() {
            Some(event_type) => Ok(event.event(event_type)?),
            None => Ok(event),
        }
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

/// Carries a type of another crate as JSON.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use std::collections::BTreeMap;
/// use oyez::{Hub, Json};
///
/// let hub = Hub::<Json<BTreeMap<String, u32>>>::new();
/// hub.publish("stock", BTreeMap::from([("apples".to_owned(), 3)])).await?;
/// let mut stream = hub.subscribe("stock").earliest().into_stream()?;
/// let item = stream.next().await.and_then(|item| item.event()).expect("one event is there");
/// assert_eq!(item.value.0["apples"], 3);
/// # Ok::<(), oyez::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json<T>(pub T);

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> JsonPayload for Json<T> {}

/// What can be published to a hub of `T`: a `T`, an `Arc<T>`, and where `T` is [`Event`] or `String` any text.
#[diagnostic::on_unimplemented(
    message = "a hub of `{T}` cannot publish `{Self}`",
    label = "not `{T}`, nor what becomes one",
    note = "a `Hub<T>` takes `T` and `Arc<T>`; `Hub<Event>` and `Hub<String>` take text as well: `&str`, `String`",
    note = "for a number or the like: `.to_string()`; for JSON in a `Hub<Event>`: `serde_json::to_string(&value)?`"
)]
pub trait IntoPayload<T> {
    /// The value, as the hub shares it.
    fn into_payload(self) -> Arc<T>;
}

impl<T: Payload> IntoPayload<T> for T {
    fn into_payload(self) -> Arc<T> {
        Arc::new(self)
    }
}

impl<T: Payload> IntoPayload<T> for Arc<T> {
    fn into_payload(self) -> Self {
        self
    }
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> IntoPayload<Json<T>> for T {
    fn into_payload(self) -> Arc<Json<T>> {
        Arc::new(Json(self))
    }
}

macro_rules! text {
    ($($text:ty),*) => {$(
        impl IntoPayload<Event> for $text {
            fn into_payload(self) -> Arc<Event> {
                Arc::new(Event::data(self))
            }
        }
        impl IntoPayload<String> for $text {
            fn into_payload(self) -> Arc<String> {
                Arc::new(self.into())
            }
        }
    )*};
}

text!(&str, &String, Cow<'_, str>, Box<str>);

impl IntoPayload<Event> for String {
    fn into_payload(self) -> Arc<Event> {
        Arc::new(Event::data(self))
    }
}
