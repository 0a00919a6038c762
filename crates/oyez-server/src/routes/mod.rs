//! What answers where. [`table`] has every route once.

mod acknowledge;
mod admin;
mod answer;
mod asked;
mod control;
mod delete;
mod json;
mod lines;
mod page;
mod publish;
mod route;
mod stats;
mod subscribe;
mod table;

pub(crate) use answer::answer;
pub(crate) use route::Route;
pub(crate) use table::{ADMIN, PUBLIC, Table};
