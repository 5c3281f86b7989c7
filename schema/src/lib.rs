//! The ontology compiler: SDL in, an immutable `Ontology` and its `Api` out. No async, no drivers.
