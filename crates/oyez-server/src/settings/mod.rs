//! What may be set, from where, and how it is checked. [`table`] has every setting once; the other files say what its columns
//! mean.

mod address;
mod class;
mod error;
mod logs;
mod mistake;
mod nearest;
mod not_yet;
mod origin;
mod reference;
mod rows;
mod setting;
mod sources;
mod table;
mod value;
mod written;

pub(crate) use origin::{Cors, Origin};
pub(crate) use table::Checked;
pub(crate) use value::{Level, Size, Value};

pub use class::ClassSettings;
pub use error::ConfigError;
pub use logs::LogFormat;
pub use nearest::similar_variable;
pub use not_yet::NOT_YET;
pub use reference::settings_reference;
pub use setting::{Setting, Unsaid};
pub use table::{SETTINGS, Settings};
pub use written::{Kind, Text};
