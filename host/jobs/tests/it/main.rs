//! Jobs over real folders, Delta tables and databases, with transforms and checks in native code.

mod fakes;
mod gold;
mod home;
mod nightly;
mod silver;
