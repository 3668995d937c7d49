"""The model repository on disk: manifests, configs, versions, the record of releases."""
