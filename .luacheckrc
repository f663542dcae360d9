std = 'ngx_lua'
max_line_length = 120
files['gateway/spec'] = { std = '+busted' }
