module plugins/PLUGIN_NAME

go 1.18

require elkeid/plugin v0.0.0

replace elkeid/plugin => ./elkeid
