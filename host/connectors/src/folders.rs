//! Folders, listed. One that does not exist is empty, and names that are not UTF-8 are not ours.

use std::fs::{self, ReadDir};
use std::io;
use std::path::Path;

use tamis_model::Result;
use tamis_model::error::Context;

/// The names in a folder.
pub(crate) fn names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in read(folder)?.into_iter().flatten() {
        names.extend(entry.outage("list", folder.display())?.file_name().into_string());
    }
    Ok(names)
}

/// Calls `visit` with the name of each file below a folder, however deep. What begins with a dot is left out.
pub(crate) fn visit_files(folder: &Path, visit: &mut dyn FnMut(&str)) -> Result<()> {
    for entry in read(folder)?.into_iter().flatten() {
        let entry = entry.outage("list", folder.display())?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
        if entry.file_type().outage("inspect", entry.path().display())?.is_dir() {
            visit_files(&entry.path(), visit)?;
        } else {
            visit(name);
        }
    }
    Ok(())
}

/// Removes the files of a folder whose names are `unwanted`.
pub(crate) fn remove_files(folder: &Path, unwanted: impl Fn(&str) -> bool) -> Result<()> {
    for name in names(folder)?.iter().filter(|name| unwanted(name)) {
        let path = folder.join(name);
        fs::remove_file(&path).outage("remove", path.display())?;
    }
    Ok(())
}

fn read(folder: &Path) -> Result<Option<ReadDir>> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        entries => entries.map(Some).outage("list", folder.display()),
    }
}
