//! Commands for plugin authors: `tamis plugin new | build | test | inspect`.
